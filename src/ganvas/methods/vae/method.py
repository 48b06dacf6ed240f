"""VAE: a variational autoencoder of pictures."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganvas.image.ranges import unit_from_signed
from ganvas.losses import (
    at_least_float32,
    bernoulli_negative_log_likelihood,
    gaussian_negative_log_likelihood,
    kl_to_standard_normal,
)
from ganvas.methods import VAEConfig, VAEGANConfig
from ganvas.methods.architectures import at_size, check_batch, check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.networks.blocks import initialize
from ganvas.networks.latent import (
    FullyConnectedBlock,
    LatentDecoder,
    Upsampling,
    halving_block,
    initialize_by_fan_in,
)

HALVINGS = 3
"""Downsampling steps of the encoder and the discriminator, and upsampling steps of the decoder."""


class VAEEncoder(nn.Module):
    """Encoder to the mean and log variance of q(z|x): strided convolutions 64-128-256, then 2048 units.

    Args:
        input_channels: input channels of the pictures.
        latent_size: size of z.
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
    """Decoder of latent vectors: a fully connected layer, upsampling layers 256-128-32, then the picture.

    Args:
        latent_size: size of z.
        output_channels: output channels of the pictures.
        width: a quarter of the channels of the first features.
        image_size: height and width of the pictures, multiples of 8.
        upsampling: `resize` is nearest-neighbor upsampling followed by a convolution, which avoids checkerboards.
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


class Autoencoder(Method):
    """Base class of VAE and VAE/GAN: an encoder to q(z|x), a decoder, translation and sampling.

    Input and target may differ, as for a denoiser; if they are the same, it is the papers' autoencoder.
    """

    capturable = True
    generators = ("encoder", "decoder")
    samples = ("b",)

    def __init__(
        self,
        config: VAEConfig | VAEGANConfig,
        *,
        input_channels: int,
        output_channels: int,
        image_size: tuple[int, int],
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_crop(image_size, multiple=2**HALVINGS, network=type(self).__name__)
        self.latent_size, self.image_size = config.latent_size, image_size
        self.encoder = VAEEncoder(input_channels, config.latent_size, width=config.width, image_size=image_size)
        self.decoder = VAEDecoder(
            config.latent_size,
            output_channels,
            width=config.width,
            image_size=image_size,
            upsampling=config.upsampling,
        )

    def draw_prior(self, count: int) -> Tensor:
        """(count, latent_size) from p(z) = N(0, I)."""
        return torch.randn(count, self.latent_size, device=self.encoder.heads.weight.device)

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], decoded from the mean of q; any size.

        Pictures of another size than a training crop are resized to it and back.

        Raises:
            ConfigError: direction b_to_a.
        """
        self.check_direction(direction)
        return at_size(lambda crops: self.decode(self.encoder(crops)[0]), images, self.image_size)

    def decode(self, latents: Tensor) -> Tensor:
        """(N, latent_size) -> (N, C_out, H, W) in [-1, 1]."""
        return torch.tanh(at_least_float32(self.decoder(latents)))

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """(count, C_out, H, W) in [-1, 1], decoded from the prior."""
        return (self.decode(self.draw_prior(count)),)

    @property
    def size_multiple(self) -> int:
        """One, because any size is accepted."""
        return 1

    @property
    def context(self) -> int | None:
        """None, because the whole picture determines the code."""
        return None


class VAE(Autoencoder):
    """Variational autoencoder: codes are close to N(0, I), so that codes sampled from the prior decode to pictures.

    Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, with one draw of z per picture (Sec.
    2.3). The paper's networks have one hidden layer; these are the convolutional ones of Larsen et al. 2016, Table 1.
    """

    config_type = VAEConfig
    resizes = True

    def __init__(
        self, config: VAEConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        self.config = config
        self.players = {"autoencoder": ("encoder", "decoder")}

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield Eq. 10 with the sign reversed, in nats per picture."""
        del progress  # every step is identical
        check_batch(batch.a, network="a VAE")
        mean, log_variance = self.encoder(batch.a)
        raw = self.decoder(draw_code(mean, log_variance))
        losses = {
            "kl": kl_to_standard_normal(mean, log_variance),
            "reconstruction": self._reconstruction_loss(raw, batch.b),
        }
        yield Turn("autoencoder", losses)

    def _reconstruction_loss(self, raw: Tensor, wanted: Tensor) -> Tensor:
        """Return - log p(x|z)."""
        if self.config.likelihood == "bernoulli":  # (tanh(r) + 1) / 2 = sigmoid(2 r)
            return bernoulli_negative_log_likelihood(2 * raw, unit_from_signed(wanted))
        return gaussian_negative_log_likelihood(
            torch.tanh(at_least_float32(raw)), wanted, deviation=self.config.deviation
        )


METHOD = VAE


def draw_code(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Sample z from q(z|x) by the reparameterization trick: Kingma and Welling 2014, Sec. 2.4."""
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
