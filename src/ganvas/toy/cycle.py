"""Two translators between two domains of points, held together by coming back to where they started."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganvas.losses import discriminator_loss, generator_loss, l1_loss
from ganvas.methods.base import Turn
from ganvas.networks.mlp import MLP
from ganvas.toy.adversarial import BATCH_SIZE, RATE
from ganvas.toy.game import Draw, Game, Optimizers, adam


class CycleGAN(Game):
    """Zhu et al. 2017, arXiv:1703.10593, Eq. 3, on points, with the GAN's own objective instead of least squares.

    So it differs from two `GAN`s by the cycle term alone. The toy is that of Kim et al. 2017 (DiscoGAN),
    arXiv:1703.05192.

    Args:
        domain_a: points of one domain.
        domain_b: points of the other.
        cycle_weight: lambda of Eq. 3; 1 as in the toy of Kim et al., where pictures have 10.
        width: of the two hidden layers of all four networks.
        batch_size: points of each domain a turn.
        discriminator_rate: of Adam; the generators' is `RATE`.
    """

    def __init__(
        self,
        domain_a: Draw,
        domain_b: Draw,
        *,
        cycle_weight: float = 1.0,
        width: int = 128,
        batch_size: int = BATCH_SIZE,
        discriminator_rate: float = RATE,
    ) -> None:
        super().__init__()
        self.players = {"generators": ("to_b", "to_a"), "discriminators": ("discriminator_a", "discriminator_b")}
        self.discriminator_rate = discriminator_rate
        self.domain_a, self.domain_b, self.batch_size = domain_a, domain_b, batch_size
        self.cycle_weight = cycle_weight
        self.to_b, self.to_a = MLP(2, 2, width=width), MLP(2, 2, width=width)
        self.discriminator_a, self.discriminator_b = MLP(2, 1, width=width), MLP(2, 1, width=width)

    def turns(self) -> Iterator[Turn]:
        """One step of both D, then one of both G, in the order of `GAN`."""
        a, b = self.domain_a(self.batch_size), self.domain_b(self.batch_size)
        fake_a, fake_b = self.to_a(b), self.to_b(a)
        yield Turn(
            "discriminators",
            {
                "discriminator_a": _told_apart(self.discriminator_a, a, fake_a),
                "discriminator_b": _told_apart(self.discriminator_b, b, fake_b),
            },
        )
        there_and_back = l1_loss(self.to_a(fake_b), a) + l1_loss(self.to_b(fake_a), b)
        yield Turn(
            "generators",
            {
                "generator_a": generator_loss(self.discriminator_a(fake_a), "vanilla"),
                "generator_b": generator_loss(self.discriminator_b(fake_b), "vanilla"),
                "cycle": self.cycle_weight * there_and_back,
            },
        )

    def optimizers(self) -> Optimizers:
        """As `GAN`."""
        return adam(self, {"generators": RATE, "discriminators": self.discriminator_rate})

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """(count, 2) points of domain b, translated from new ones of domain a."""
        points: Tensor = self.to_b(self.domain_a(count))
        return points


def _told_apart(discriminator: MLP, real: Tensor, fake: Tensor) -> Tensor:
    return discriminator_loss(real=discriminator(real), fake=discriminator(fake.detach()), objective="vanilla")
