"""Real-ESRGAN: restoration trained on second-order degradations, with a U-Net discriminator."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.losses import fake_loss, generator_loss, real_loss
from ganvas.methods import RealESRGANConfig
from ganvas.methods.architectures import check_crop
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.perceptual import PerceptualLoss
from ganvas.methods.srresnet.method import SuperResolution
from ganvas.networks import UNetDiscriminator

VGG_LAYERS = {
    "vgg19": {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0},
    "vgg16": {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_3": 1.0, "conv4_3": 1.0, "conv5_3": 1.0},
}
"""The last convolution of each block, before its ReLU -> weight in the perceptual loss (Sec. 4.1)."""
SMALLEST = 16
"""Smallest side in pixels of a crop, for which the last features are not empty."""


class RealESRGAN(SuperResolution):
    """Restoration trained with L1, perceptual and adversarial losses on pictures degraded twice.

    Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
    arXiv:2107.10833. As in the paper it starts from a network trained with L1 alone. The data degrade the pictures:
    `degrade="second_order"`. Targets are not sharpened: this is Real-ESRGAN, not the paper's Real-ESRGAN+.
    """

    config_type = RealESRGANConfig
    config: RealESRGANConfig

    def __init__(
        self, config: RealESRGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if output_channels not in (1, 3) and config.has_perceptual_loss:
            raise ConfigError(
                f"the features of {config.perceptual} need RGB or gray, but the outputs have {output_channels} "
                "channels: use --perceptual none"
            )
        check_crop(image_size, smallest=SMALLEST, network="Real-ESRGAN")
        if config.adversarial_weight > 0:
            self.players = {"discriminator": ("discriminator",), "generator": ("generator",)}
            self.discriminator = UNetDiscriminator(output_channels, width=config.discriminator_width)
        self._perceptual = (
            None if config.perceptual == "none" else PerceptualLoss(config.perceptual, VGG_LAYERS[config.perceptual])
        )

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of the discriminator, if it has a weight, then one of the generator against it."""
        del progress  # every step is identical
        output, target = self.generator(batch.a), batch.b
        if self.config.adversarial_weight > 0:
            real = real_loss(self.discriminator(target), "vanilla")
            fake = fake_loss(self.discriminator(output.detach()), "vanilla")
            yield Turn("discriminator", {"real": real, "fake": fake})
        yield Turn("generator", self._generator_losses(output, target))

    def _generator_losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the losses of Sec. 3.4 whose weight is not 0."""
        config, losses = self.config, dict[str, Tensor]()
        if config.pixel_weight > 0:
            losses["pixels"] = config.pixel_weight * self.pixel_loss((output + 1) / 2, (target + 1) / 2)
        if self._perceptual is not None and config.has_perceptual_loss:
            losses["perceptual"] = config.perceptual_weight * self._perceptual(output, target)
        if config.adversarial_weight > 0:
            scores = self.discriminator(output)
            losses["adversarial"] = config.adversarial_weight * generator_loss(scores, "vanilla")
        return losses


METHOD = RealESRGAN
