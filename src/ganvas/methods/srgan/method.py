"""SRGAN: super-resolution with an adversarial and a perceptual loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganvas.errors import ConfigError
from ganvas.losses.adversarial import (
    fake_loss,
    generator_loss,
    real_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)
from ganvas.methods import SRGANConfig
from ganvas.methods.architectures import check_crop
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.srgan.networks import ContentLoss, SRDiscriminator
from ganvas.methods.srresnet.method import SuperResolution

Losses = dict[str, Tensor]
SMALLEST = 17
"""Pixels a side: of 16 the discriminator's last batch norm would see a single place."""


class SRGAN(SuperResolution):
    """SRResNet fools a discriminator, and stays near the true picture in the features of a classifier.

    Ledig et al. 2017, arXiv:1609.04802. As the paper, which starts from a trained SRResNet: recipe `srgan`. Options
    beyond it are those of ESRGAN (Wang et al. 2018, arXiv:1809.00219).
    """

    config_type = SRGANConfig
    config: SRGANConfig

    def __init__(
        self, config: SRGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if output_channels != 3 and config.content != "pixels":
            raise ConfigError(
                f"the features of {config.content} are of RGB, the pictures made have {output_channels} channels: "
                "give --content pixels --content-weight 1"
            )
        check_crop(image_size, smallest=SMALLEST, network="SRGAN's discriminator")
        self.players = {"discriminator": ("discriminator",), "generator": ("generator",)}
        self.discriminator = SRDiscriminator(
            output_channels,
            image_size=image_size,
            width=config.discriminator_width,
            norm=config.discriminator_norm,
            spectral=config.spectral,
        )
        self._features = ContentLoss(config.content, pre_activation=config.pre_activation)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of D, then one of G against the updated D (Eq. 2)."""
        del progress  # every step is alike
        made, wanted = self.generator(batch.a), batch.b
        yield Turn("discriminator", self._discriminator_losses(real=wanted, fake=made.detach()))
        yield Turn("generator", self._content(made, wanted) | self._adversarial_losses(real=wanted, fake=made))

    def _discriminator_losses(self, *, real: Tensor, fake: Tensor) -> Losses:
        """Return Eq. 2, real and fake in separate batches."""
        real_scores, fake_scores = self.discriminator(real), self.discriminator(fake)
        if self.config.objective == "relativistic":
            return {"relativistic": relativistic_discriminator_loss(real=real_scores, fake=fake_scores)}
        objective = self.config.objective
        return {"real": real_loss(real_scores, objective), "fake": fake_loss(fake_scores, objective)}

    def _content(self, made: Tensor, wanted: Tensor) -> Losses:
        """Return Eq. 5, or Eq. 4 where the content is pixels."""
        config, losses = self.config, dict[str, Tensor]()
        if config.content_weight > 0:
            away = self.pixel_loss if config.content == "pixels" else self._features
            losses["content"] = config.content_weight * away(made, wanted)
        if config.pixel_weight > 0:
            losses["pixels"] = config.pixel_weight * self.pixel_loss(made, wanted)
        return losses

    def _adversarial_losses(self, *, real: Tensor, fake: Tensor) -> Losses:
        """Return Eq. 6."""
        config = self.config
        if config.adversarial_weight == 0:
            return {}
        scores = self.discriminator(fake)
        if config.objective != "relativistic":
            return {"adversarial": config.adversarial_weight * generator_loss(scores, config.objective)}
        with torch.no_grad():
            real_scores = self.discriminator(real)
        loss = relativistic_generator_loss(real=real_scores, fake=scores)
        return {"adversarial": config.adversarial_weight * loss}


METHOD = SRGAN
