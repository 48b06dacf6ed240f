"""DiscoGAN: two translators of small pictures with reconstruction and feature-matching losses."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganvas.losses import fake_loss, feature_matching, generator_loss, mse_loss, real_loss
from ganvas.methods import DiscoGANConfig
from ganvas.methods.architectures import check_batch, check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.methods.discogan.networks import SMALLEST, DiscoDiscriminator, DiscoGenerator, unit
from ganvas.networks import in_evaluation

Losses = dict[str, Tensor]


class DiscoGAN(Method):
    """A picture translated there and back is itself again, and looks on the way as the other side does.

    Kim et al. 2017, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
    arXiv:1703.05192, where `a_to_b` is G_AB and `judge_b` D_B. Feature matching, the weights and the curriculum are of
    the released code. Losses of pictures are of the paper's range [0, 1]. At test batch norm has the statistics of
    training, so that no picture depends on its neighbors.
    """

    config_type = DiscoGANConfig
    directions = ("a_to_b", "b_to_a")
    paired = False
    generators = ("a_to_b", "b_to_a")

    def __init__(
        self, config: DiscoGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_crop(image_size, multiple=DiscoGenerator.size_multiple, smallest=SMALLEST, network="DiscoGAN")
        self.config, self._single_place = config, config.bottleneck > 0 and image_size == (SMALLEST, SMALLEST)
        self.players = {"generators": ("a_to_b", "b_to_a"), "discriminators": ("judge_a", "judge_b")}
        a, b, width, bottleneck = input_channels, output_channels, config.width, config.bottleneck
        self.a_to_b = DiscoGenerator(a, b, width=width, bottleneck=bottleneck)
        self.b_to_a = DiscoGenerator(b, a, width=width, bottleneck=bottleneck)
        self.judge_a = DiscoDiscriminator(a, width=width)
        self.judge_b = DiscoDiscriminator(b, width=width)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield a step of the discriminators, then of the generators; with an interval above 1 only one of them."""
        if self._single_place:
            check_batch(batch.a, network="a bottleneck of one place")
        interval = self.config.discriminator_interval
        scored = progress.step % interval == 0
        translated = interval == 1 or not scored
        with torch.set_grad_enabled(translated and torch.is_grad_enabled()):
            fake_b, fake_a = self.a_to_b(batch.a), self.b_to_a(batch.b)
        if scored:
            yield Turn(
                "discriminators", self._discriminator_losses(batch, fake_a=fake_a.detach(), fake_b=fake_b.detach())
            )
        if translated:
            yield Turn("generators", self._generator_losses(batch, progress, fake_a=fake_a, fake_b=fake_b))

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 9 and 10, halved as in the released code."""
        losses: Losses = {}
        for side, discriminator, real, fake in (
            ("a", self.judge_a, batch.a, fake_a),
            ("b", self.judge_b, batch.b, fake_b),
        ):
            losses[f"real_{side}"] = 0.5 * real_loss(discriminator(real)[0], "vanilla")
            losses[f"fake_{side}"] = 0.5 * fake_loss(discriminator(fake)[0], "vanilla")
        return losses

    def _generator_losses(self, batch: Batch, progress: Progress, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 8: the losses of both generators, (1 - r) adversarial and r reconstruction."""
        returned = self.reconstruction_share(progress)
        losses = {
            "reconstruction_a": returned * mse_loss(unit(self.b_to_a(fake_b)), unit(batch.a)),  # Eq. 4
            "reconstruction_b": returned * mse_loss(unit(self.a_to_b(fake_a)), unit(batch.b)),
        }
        losses |= self._adversarial_losses("a", self.judge_a, real=batch.a, fake=fake_a, share=1 - returned)
        return losses | self._adversarial_losses("b", self.judge_b, real=batch.b, fake=fake_b, share=1 - returned)

    def _adversarial_losses(
        self, side: str, discriminator: nn.Module, *, real: Tensor, fake: Tensor, share: float
    ) -> Losses:
        """Return Eq. 3 (Eq. 5) and the feature-matching loss between a batch of fakes and one of real pictures."""
        matched = self.config.feature_matching
        scores, features = discriminator(fake)
        with torch.no_grad():  # after the fakes: autocast keeps the weights as first cast
            wanted = discriminator(real)[1]
        return {
            f"adversarial_{side}": share * (1 - matched) * generator_loss(scores, "vanilla"),
            f"features_{side}": share * matched * feature_matching(features, wanted),
        }

    def reconstruction_share(self, progress: Progress) -> float:
        """Return r: small during the curriculum, then larger."""
        early = progress.step < self.config.curriculum_steps
        return self.config.early_reconstruction if early else self.config.reconstruction

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1]; the channels change places from b to a.

        Raises:
            ImageError: height or width is no multiple of `size_multiple`.
        """
        self.check_direction(direction)
        generator = self.a_to_b if direction == "a_to_b" else self.b_to_a
        generator.check_size(images)
        with in_evaluation(generator):
            made: Tensor = generator(images)
        return made

    @property
    def size_multiple(self) -> int:
        """16: the product of a generator's strides; with a bottleneck 64, for it needs so much."""
        return SMALLEST if self.config.bottleneck else DiscoGenerator.size_multiple

    @property
    def context(self) -> int | None:
        """Of a generator: at test its norms have statistics that no picture moves."""
        return self.a_to_b.context


METHOD = DiscoGAN
