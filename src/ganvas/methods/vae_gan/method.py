"""VAE/GAN: a VAE with a reconstruction loss on discriminator features."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganvas.losses import fake_loss, gaussian_negative_log_likelihood, generator_loss, kl_to_standard_normal, real_loss
from ganvas.methods import VAEGANConfig
from ganvas.methods.architectures import check_batch
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.vae.method import HALVINGS, Autoencoder, draw_code
from ganvas.networks.blocks import ConvBlock
from ganvas.networks.latent import FullyConnected, FullyConnectedBlock, halving_block, initialize_by_fan_in

Losses = dict[str, Tensor]


class FeatureDiscriminator(nn.Module):
    """Discriminator with features: 32 channels at full size, strided convolutions 128-256-256, 512 units, one score.

    Args:
        input_channels: input channels of the pictures scored.
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
        """Return Dis_l, the third strided convolution as in the released code: (N, 4 width, H / 8, W / 8)."""
        seen: Tensor = self.before(images)
        return seen

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, input_channels, H, W) in [-1, 1] -> raw scores (N, 1, 1, 1), higher is more real, and `features`."""
        seen = self.features(images)
        return self.after(seen), seen


class VAEGAN(Autoencoder):
    """VAE whose reconstruction error is measured in the features of a GAN discriminator.

    Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300, Algorithm 1.
    Where the paper gives no details, the released code is followed: features are those of the third strided
    convolution, and the features of real pictures get no gradient; the discriminator sees real, reconstructed and
    sampled pictures as one batch.
    """

    config_type = VAEGANConfig

    def __init__(
        self, config: VAEGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        self.config = config
        self.players = {"encoder": ("encoder",), "decoder": ("decoder",), "discriminator": ("discriminator",)}
        self.discriminator = FeatureDiscriminator(output_channels, width=config.width, image_size=image_size)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield the turns of Algorithm 1. Its three updates are simultaneous, and so are these.

        Each turn has its own graph and reads no weights that an earlier turn of the step has updated: the decoder's
        starts from the codes computed before the encoder's update, the discriminator's from the pictures computed
        before the decoder's update.
        """
        del progress  # every step is identical
        check_batch(batch.a, network="a VAE")
        mean, log_variance = self.encoder(batch.a)
        code, prior_code = draw_code(mean, log_variance), self.draw_prior(len(batch.a))
        with torch.no_grad():
            drawn = self.decode(prior_code)
        kl = kl_to_standard_normal(mean, log_variance)
        yield Turn("encoder", {"kl": kl, "features": self._feature_loss(batch.b, self.decode(code), drawn)})

        reconstructed, drawn = self.decode(code.detach()), self.decode(prior_code)
        yield Turn("decoder", self._decoder_losses(batch.b, reconstructed, drawn))

        yield Turn("discriminator", self._discriminator_losses(batch.b, reconstructed.detach(), drawn.detach()))

    def _feature_loss(self, real: Tensor, reconstructed: Tensor, drawn: Tensor) -> Tensor:
        """Return L_llike^Dis_l, of the discriminator features: - log N(Dis_l(x); Dis_l(x~), I)."""
        seen, seen_again, _ = self.discriminator.features(torch.cat([real, reconstructed, drawn])).chunk(3)
        return gaussian_negative_log_likelihood(seen_again, seen.detach())

    def _decoder_losses(self, real: Tensor, reconstructed: Tensor, drawn: Tensor) -> Losses:
        """Return gamma L_llike - L_GAN."""
        scores, features = self.discriminator(torch.cat([real, reconstructed, drawn]))
        seen, seen_again, _ = features.chunk(3)
        unlike = gaussian_negative_log_likelihood(seen_again, seen.detach())
        return {"features": self.config.gamma * unlike, **self._adversarial_losses(*scores.chunk(3))}

    def _adversarial_losses(self, real: Tensor, reconstructed: Tensor, drawn: Tensor) -> Losses:
        """Return - L_GAN, with real pictures: their scores depend on the decoder through the batch statistics."""
        if self.config.adversarial == "non_saturating":
            return {
                "reconstructed": generator_loss(reconstructed, "vanilla"),
                "drawn": generator_loss(drawn, "vanilla"),
            }
        return {name: -loss for name, loss in gan_losses(real, reconstructed, drawn).items()}

    def _discriminator_losses(self, real: Tensor, reconstructed: Tensor, drawn: Tensor) -> Losses:
        """Return L_GAN, as the cross-entropy that the discriminator minimizes in Algorithm 1."""
        scores, _ = self.discriminator(torch.cat([real, reconstructed, drawn]))
        return gan_losses(*scores.chunk(3))


METHOD = VAEGAN


def gan_losses(real: Tensor, reconstructed: Tensor, drawn: Tensor) -> Losses:
    """Return - log Dis(x), - log(1 - Dis(x~)) and - log(1 - Dis(x_p)) for raw scores (N, 1, 1, 1)."""
    return {
        "real": real_loss(real, "vanilla"),
        "reconstructed": fake_loss(reconstructed, "vanilla"),
        "drawn": fake_loss(drawn, "vanilla"),
    }
