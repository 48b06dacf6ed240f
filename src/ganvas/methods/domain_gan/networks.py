"""Networks of Dong et al. 2017, as in their released code at 64 pixels, where `width` is 64."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.networks.blocks import at_least_float, initialize
from ganvas.networks.latent import FullyConnected, LatentDecoder, halving_block

HALVINGS = 4
"""Of the discriminator and the encoder; the generator doubles as often."""
LINEAR_DEVIATION = 0.02


class ClassGenerator(nn.Module):
    """G(z, c): noise and a class to pictures: 1024 small features, 512-256-128 and the picture, each doubling.

    Args:
        z_size: numbers of the noise.
        num_classes: domains.
        embedding_size: numbers that stand for a class.
        output_channels: of the pictures.
        width: half of the channels before the last layer.
        image_size: height and width of the pictures, multiples of 16.
    """

    def __init__(
        self,
        z_size: int,
        *,
        num_classes: int,
        embedding_size: int,
        output_channels: int,
        width: int,
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, embedding_size)
        self.decoder = LatentDecoder(
            z_size + embedding_size,
            output_channels,
            channels=(16 * width, 8 * width, 4 * width, 2 * width),
            image_size=image_size,
            doubles_last=True,
        )
        initialize_linear(self)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        """(N, z_size) and (N,) whole numbers -> (N, output_channels, H, W) in [-1, 1]."""
        raw: Tensor = self.decoder(torch.cat([z, self.embedding(classes)], dim=1))
        return torch.tanh(at_least_float(raw))


class PictureReader(nn.Module):
    """Pictures to vectors: 64-128-256-512, each halving, then one fully connected layer a head.

    Args:
        input_channels: of the pictures.
        heads: numbers of each vector.
        width: channels of the first layer.
        image_size: height and width of the pictures, multiples of 16.
    """

    def __init__(self, input_channels: int, heads: tuple[int, ...], *, width: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, columns = (side // 2**HALVINGS for side in image_size)
        self.features = nn.Sequential(
            halving_block(input_channels, width, norm="none", activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(width, 2 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(2 * width, 4 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(4 * width, 8 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
        )
        self.heads = nn.ModuleList(FullyConnected(8 * width * height * columns, size) for size in heads)
        initialize_linear(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, input_channels, H, W) in [-1, 1] -> for each head (N, size), any real numbers."""
        features = self.features(images)
        return tuple(head(features).flatten(1) for head in self.heads)


def initialize_linear(network: nn.Module) -> None:
    """Initialize all weights from N(0, 0.02), fully connected layers too; batch-norm scales from N(1, 0.02)."""
    initialize(network)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, LINEAR_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
