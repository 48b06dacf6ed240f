"""pix2pix: a conditional GAN trained on pairs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganvas.losses import fake_loss, generator_loss, gradient_penalty, l1_loss, real_loss
from ganvas.methods import Pix2PixConfig
from ganvas.methods.architectures import (
    adds_input,
    check_crop,
    check_residual,
    crop_multiple,
    make_discriminator,
    make_generator,
    make_restoration,
    translate,
)
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import RESTORATION, Direction, Norm
from ganvas.networks import Generator


class Pix2Pix(Method):
    """Conditional GAN: a U-Net trained against a PatchGAN on input and output, with an L1 loss to the target.

    Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004.
    Follows the paper except for biases: there are none before a batch norm, as in the released PyTorch code.
    `variant` selects further details of that code.
    """

    config_type = Pix2PixConfig
    capturable = True
    generators = ("generator",)

    def __init__(
        self, config: Pix2PixConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_residual(config, input_channels=input_channels, output_channels=output_channels)
        self.config = config
        self.players = {"generator": ("generator",)}
        given = config.frames * input_channels
        self.generator = self._make_generator(given, output_channels, image_size)
        if config.adversarial_weight > 0:
            self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
            self.discriminator: nn.Module = self._make_discriminator(given + output_channels, image_size)

    def _make_generator(self, input_channels: int, output_channels: int, image_size: tuple[int, int]) -> Generator:
        """Return the generator; `input_channels` are those of all frames together."""
        config = self.config
        if config.generator in RESTORATION:
            blocks = config.residual_blocks
            network = make_restoration(config, input_channels, output_channels, scale=1, num_blocks=blocks)
            check_crop(image_size, multiple=crop_multiple(network), network=config.generator)
            return network
        return make_generator(
            config,
            input_channels,
            output_channels,
            image_size=image_size,
            residual_blocks=config.residual_blocks,
            residual=config.residual,
        )

    def _make_discriminator(self, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """Return the discriminator of input and output, which have so many channels together."""
        return make_discriminator(self.config, channels, norm=critic_norm(self.config), image_size=image_size)

    @classmethod
    def needs_equal_channels(cls, config: Pix2PixConfig) -> bool:
        """Return whether the generator adds its input to its output."""
        return adds_input(config)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of D, then one of G against the updated D (Sec. 3.3)."""
        del progress  # every step is identical
        fake_b = self.generator(batch.a)  # G(x, z): the noise z is dropout
        if self.config.adversarial_weight > 0:
            yield Turn("discriminator", self._discriminator_losses(batch.a, real_b=batch.b, fake_b=fake_b.detach()))
        yield Turn("generator", self._generator_losses(batch.a, real_b=batch.b, fake_b=fake_b))

    def _discriminator_losses(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return Eq. 1, halved "which slows down the rate at which D learns relative to G" (Sec. 3.3)."""
        objective = self.config.objective
        losses = {
            "fake": 0.5 * fake_loss(self._scores(a, fake_b), objective),
            "real": 0.5 * real_loss(self._scores(a, real_b), objective),
        }
        if objective == "wasserstein" and self.config.gradient_penalty > 0:
            penalty = gradient_penalty(lambda b: self._scores(a, b), real=real_b, fake=fake_b)
            losses["gradient_penalty"] = 0.5 * self.config.gradient_penalty * penalty
        return losses

    def _generator_losses(self, a: Tensor, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return Eq. 4: the adversarial loss, and lambda times L1; losses of weight 0 are omitted."""
        config, losses = self.config, {}
        if config.adversarial_weight > 0:
            fooled = generator_loss(self._scores(a, fake_b), config.objective)
            losses["adversarial"] = config.adversarial_weight * fooled
        if config.l1_weight > 0:
            losses["l1"] = config.l1_weight * l1_loss(fake_b, real_b)
        return losses

    def _scores(self, a: Tensor, b: Tensor) -> Tensor:
        """Return D(x, y): the discriminator sees input and output concatenated along the channels."""
        scores: Tensor = self.discriminator(torch.cat([a, b], dim=1))
        return scores

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], with dropout and batch statistics at test time.

        Raises:
            ImageError: height or width is not a multiple of `size_multiple`.
            ConfigError: direction b_to_a.
        """
        self.check_direction(direction)
        return translate(self.generator, images)

    @property
    def num_frames(self) -> int:
        """Number of frames in the input."""
        return self.config.frames

    @property
    def size_multiple(self) -> int:
        """Product of the generator's strides."""
        return self.generator.size_multiple

    @property
    def smallest_side(self) -> int:
        """Smallest side of the generator's input."""
        return self.generator.smallest_side

    @property
    def context(self) -> int | None:
        """None if a norm or dropout makes tiles differ from the whole picture."""
        return None if self.draws_noise else self.generator.context


METHOD = Pix2Pix


def critic_norm(config: Pix2PixConfig) -> Norm:
    """Return the discriminator's norm."""
    if config.objective == "wasserstein" and config.norm == "batch" and config.variant == "paper":
        return "instance"  # batch norm would tie the gradients of a batch together (Gulrajani et al. 2017, Sec. 4)
    return config.norm
