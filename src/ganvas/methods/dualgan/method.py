"""DualGAN: dual learning of two translators against Wasserstein critics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganvas.losses import fake_loss, generator_loss, gradient_penalty, l1_loss, real_loss
from ganvas.methods import DualGANConfig
from ganvas.methods.architectures import TwoWayMethod, check_crop, choose_depth, patch_discriminator
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.networks import UNet
from ganvas.networks.blocks import ConvBlock, Norm, initialize

WIDTHS = (1, 2, 4, 8, 8)
"""Channels of the layers as multiples of the first layer's."""
SMALLEST = 2 ** (len(WIDTHS) + 1)
"""Smallest side in pixels, which leaves 2x2 values to the last norm."""


class GlobalCritic(nn.Module):
    """Five convolutions of stride 2, the first 5x5 and the others 3x3, then a linear layer over all positions.

    As the released code of DualGAN (Yi et al. 2017, arXiv:1704.02510).

    Args:
        input_channels: input channels of the images scored.
        image_size: height and width of all images.
        width: channels of the first layer.
        norm: after every convolution but the first.
    """

    def __init__(
        self, input_channels: int, *, image_size: tuple[int, int], width: int = 64, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        channels = [input_channels, *(width * times for times in WIDTHS)]
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    before,
                    after,
                    kernel=3 if level else 5,
                    stride=2,
                    padding=1 if level else 2,
                    norm=norm if level else "none",
                    activation=nn.LeakyReLU(0.2, inplace=True),
                )
                for level, (before, after) in enumerate(pairwise(channels))
            )
        )
        height, width_left = (-(-side // 2 ** len(WIDTHS)) for side in image_size)
        self.last = nn.Linear(channels[-1] * height * width_left, 1)
        initialize(self)
        nn.init.normal_(self.last.weight, 0.0, 0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, 1), any real number, higher is more real."""
        scores: Tensor = self.last(self.blocks(images).flatten(1))
        return scores


Losses = dict[str, Tensor]


class DualGAN(TwoWayMethod):
    """Two translators that invert each other, trained against a Wasserstein critic for each side.

    Yi et al. 2017, "DualGAN: Unsupervised Dual Learning for Image-to-Image Translation", arXiv:1704.02510, where
    `a_to_b` is G_A, `discriminator_b` D_A, a is U and b is V. Dropout is the noise z, also at test time. The paper's
    repeated updates of the critics, each on its own batch, are separate steps here, of which only the first updates the
    generators too.
    """

    config_type = DualGANConfig

    def __init__(
        self, config: DualGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        self.config = config
        self.players = {"generators": ("a_to_b", "b_to_a"), "critics": ("discriminator_a", "discriminator_b")}
        a, b = input_channels, output_channels
        self.a_to_b = make_generator(config, a, b, image_size)
        self.b_to_a = make_generator(config, b, a, image_size)
        self.discriminator_a = make_critic(config, a, image_size)
        self.discriminator_b = make_critic(config, b, image_size)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield Algorithm 1: a clipped step of the critics, and every `critic_steps` steps one of the generators."""
        translated = progress.step % self.config.critic_steps == 0
        with torch.set_grad_enabled(translated and torch.is_grad_enabled()):
            fake_b, fake_a = self.a_to_b(batch.a), self.b_to_a(batch.b)
        yield Turn("critics", self._discriminator_losses(batch, fake_a=fake_a.detach(), fake_b=fake_b.detach()))
        self._clip()
        if translated:
            yield Turn("generators", self._generator_losses(batch, fake_a=fake_a, fake_b=fake_b))

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 1 and 2, of both critics."""
        weight, losses = self.config.gradient_penalty, {}
        for side, discriminator, real, fake in (
            ("a", self.discriminator_a, batch.a, fake_a),
            ("b", self.discriminator_b, batch.b, fake_b),
        ):
            losses[f"real_{side}"] = real_loss(discriminator(real), "wasserstein")
            losses[f"fake_{side}"] = fake_loss(discriminator(fake), "wasserstein")
            if weight > 0:
                losses[f"gradient_penalty_{side}"] = weight * gradient_penalty(discriminator, real=real, fake=fake)
        return losses

    @torch.no_grad()
    def _clip(self) -> None:
        """Clip the critics' weights, which bounds their Lipschitz constant (Arjovsky et al. 2017, Algorithm 1)."""
        if self.config.clip > 0:
            for weight in self.player_parameters("critics"):
                weight.clamp_(-self.config.clip, self.config.clip)

    def _generator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 3: both recovery errors in L1, and the adversarial losses."""
        weight_a, weight_b = self.config.recovery_weight_a, self.config.recovery_weight_b
        return {
            "recovery_a": weight_a * l1_loss(self.b_to_a(fake_b), batch.a),
            "recovery_b": weight_b * l1_loss(self.a_to_b(fake_a), batch.b),
            "adversarial_a": generator_loss(self.discriminator_a(fake_a), "wasserstein"),
            "adversarial_b": generator_loss(self.discriminator_b(fake_b), "wasserstein"),
        }


METHOD = DualGAN


def make_generator(
    config: DualGANConfig, input_channels: int, output_channels: int, image_size: tuple[int, int]
) -> UNet:
    """Build pix2pix's U-Net."""
    return UNet(
        input_channels,
        output_channels,
        width=config.width,
        depth=choose_depth(config.depth, image_size),
        norm=config.norm,
        dropout=config.dropout,
        upsampling=config.upsampling,
    )


def make_critic(config: DualGANConfig, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Return a PatchGAN, or a critic with a single score."""
    width, norm = config.discriminator_width, config.norm
    if norm == "batch":
        norm = "instance"  # clipping would limit scales; a penalty needs independent scores (docs/dualgan.md)
    if config.critic == "global":
        check_crop(image_size, smallest=SMALLEST, network="a global critic")
        return GlobalCritic(channels, image_size=image_size, width=width, norm=norm)
    return patch_discriminator(
        channels, receptive_field=config.receptive_field, width=width, norm=norm, image_size=image_size
    )
