"""Networks of VAE and VAE/GAN: Larsen et al. 2016, Table 1, where `width` is 64."""

from __future__ import annotations

from torch import Tensor, nn

from ganvas.networks.blocks import ConvBlock, initialize
from ganvas.networks.latent import (
    FullyConnected,
    FullyConnectedBlock,
    LatentDecoder,
    Upsampling,
    halving_block,
    initialize_by_fan_in,
)

HALVINGS = 3
"""Of the encoder and the discriminator; the decoder doubles as often."""


class VAEEncoder(nn.Module):
    """Pictures to the mean and the log variance of q(z|x): 64-128-256, each halving, then 2048 numbers.

    Args:
        input_channels: of the pictures.
        latent_size: numbers of z.
        width: channels of the first layer.
        image_size: height and width of the pictures, multiples of 8.
    """

    def __init__(self, input_channels: int, latent_size: int, *, width: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, columns = (side // 2**HALVINGS for side in image_size)
        self.features = nn.Sequential(
            halving_block(input_channels, width),
            halving_block(width, 2 * width),
            halving_block(2 * width, 4 * width),
            FullyConnectedBlock(4 * width * height * columns, 32 * width),
        )
        self.heads = nn.Linear(32 * width, 2 * latent_size)
        initialize_by_fan_in(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, input_channels, H, W) in [-1, 1] -> mean and log variance, each (N, latent_size)."""
        mean, log_variance = self.heads(self.features(images).flatten(1)).chunk(2, dim=1)
        return mean, log_variance


class VAEDecoder(LatentDecoder):
    """Latent vectors to pictures: 256 small features, 256-128-32, each doubling, then the picture.

    Args:
        latent_size: numbers of z.
        output_channels: of the pictures.
        width: a quarter of the channels of the small features.
        image_size: height and width of the pictures, multiples of 8.
        upsampling: `resize` is nearest-neighbor then convolution, against checkerboards.
    """

    def __init__(
        self,
        latent_size: int,
        output_channels: int,
        *,
        width: int,
        image_size: tuple[int, int],
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__(
            latent_size,
            output_channels,
            channels=(4 * width, 4 * width, 2 * width, max(width // 2, 1)),
            image_size=image_size,
            doubles_last=False,
            upsampling=upsampling,
        )
        initialize(self)


class FeatureDiscriminator(nn.Module):
    """Tells real from made, and shows what it sees: 32 at full size, 128-256-256, each halving, 512 numbers, a score.

    Args:
        input_channels: of the pictures scored.
        width: twice the channels of the first layer.
        image_size: height and width of the pictures, multiples of 8.
    """

    def __init__(self, input_channels: int, *, width: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, columns = (side // 2**HALVINGS for side in image_size)
        first = max(width // 2, 1)
        self.before = nn.Sequential(
            ConvBlock(input_channels, first, kernel=5, padding=2, activation=nn.ReLU(inplace=True)),
            halving_block(first, 2 * width),
            halving_block(2 * width, 4 * width),
            nn.Conv2d(4 * width, 4 * width, 5, 2, 2, bias=False),
        )
        self.after = nn.Sequential(
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            FullyConnectedBlock(4 * width * height * columns, 8 * width),
            FullyConnected(8 * width, 1),
        )
        initialize_by_fan_in(self)

    def features(self, images: Tensor) -> Tensor:
        """Return Dis_l, as in the released code the third halving before its norm: (N, 4 width, H / 8, W / 8)."""
        seen: Tensor = self.before(images)
        return seen

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, input_channels, H, W) in [-1, 1] -> raw scores (N, 1, 1, 1), higher is more real, and `features`."""
        seen = self.features(images)
        return self.after(seen), seen
