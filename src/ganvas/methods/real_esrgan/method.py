"""Real-ESRGAN: restoration trained on second-order degradations, with a U-Net discriminator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.losses import fake_loss, generator_loss, l1_loss, real_loss
from ganvas.methods import RealESRGANConfig
from ganvas.methods.architectures import check_crop, load_vgg
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.srresnet.method import SuperResolution
from ganvas.networks import UNetDiscriminator
from ganvas.networks.feature_extractors import VGG

Classifier = Literal["vgg19", "vgg16"]
PLACES = {
    "vgg19": ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"),
    "vgg16": ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"),
}
"""The last convolution of each block, before its ReLU."""
PLACE_WEIGHTS = (0.1, 0.1, 1.0, 1.0, 1.0)
"""Sec. 4.1."""
SMALLEST = 16
"""Smallest side in pixels of a crop, for which the last features are not empty."""


class PerceptualLoss:
    """Weighted sum of the mean absolute differences of VGG's features in five places (Sec. 4.1).

    The classifier is not part of the method: it is neither trained nor saved, and is loaded at the first call, so that
    inference with a trained run does not need it.

    Args:
        classifier: VGG19, as in the paper, or VGG16.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier: Classifier = classifier
        self._network: VGG | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar, of two batches (N, 3 or 1, H, W) in [-1, 1]; gradients flow to the first.

        Raises:
            WeightsError: the classifier's weights are not found, or differ from their record.
        """
        if self._network is None:
            otherwise = "--perceptual vgg16, or --perceptual none"
            self._network = load_vgg(self._classifier, PLACES[self._classifier], otherwise=otherwise)
        network = self._network.to(output.device)
        ours = network(output.expand(-1, 3, -1, -1))
        with torch.no_grad():
            theirs = network(target.expand(-1, 3, -1, -1))
        distances = [l1_loss(*pair) for pair in zip(ours, theirs, strict=True)]
        return torch.stack([w * distance for w, distance in zip(PLACE_WEIGHTS, distances, strict=True)]).sum()


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
                f"the features of {config.perceptual} are of RGB or gray, the pictures made have {output_channels} "
                "channels: give --perceptual none"
            )
        check_crop(image_size, smallest=SMALLEST, network="Real-ESRGAN")
        self.players = {"discriminator": ("discriminator",), "generator": ("generator",)}
        self.discriminator = UNetDiscriminator(output_channels, width=config.discriminator_width)
        self._perceptual = None if config.perceptual == "none" else PerceptualLoss(config.perceptual)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of the discriminator, then one of the generator against the updated discriminator."""
        del progress  # every step is identical
        output, target = self.generator(batch.a), batch.b
        real = real_loss(self.discriminator(target), "vanilla")
        fake = fake_loss(self.discriminator(output.detach()), "vanilla")
        yield Turn("discriminator", {"real": real, "fake": fake})
        yield Turn("generator", self._generator_losses(output, target))

    def _generator_losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the losses of Sec. 3.4 whose weight is not 0."""
        config, losses = self.config, dict[str, Tensor]()
        if config.pixel_weight > 0:
            losses["pixels"] = config.pixel_weight * self.pixel_loss((output + 1) / 2, (target + 1) / 2)
        if self._perceptual is not None and config.perceptual_weight > 0:
            losses["perceptual"] = config.perceptual_weight * self._perceptual(output, target)
        if config.adversarial_weight > 0:
            scores = self.discriminator(output)
            losses["adversarial"] = config.adversarial_weight * generator_loss(scores, "vanilla")
        return losses


METHOD = RealESRGAN
