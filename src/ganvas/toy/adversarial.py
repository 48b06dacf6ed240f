"""GAN, Wasserstein GAN, conditional GAN and CycleGAN on points."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn, optim

from ganvas.losses import discriminator_loss, generator_loss, l1_loss
from ganvas.methods.base import Turn
from ganvas.networks.blocks import MLP
from ganvas.toy.game import Draw, Game, Optimizers, adam

BATCH_SIZE = 128
NOISE_SIZE = 2
"""Numbers of z, as Lin et al. 2018, arXiv:1712.04086, have it for points."""
RATE = 1e-3
"""Of Adam, for all players."""


class GAN(Game):
    """Goodfellow et al. 2014, arXiv:1406.2661, with the generator's non-saturating loss.

    Args:
        given: what the generator makes points of: noise, or points of another domain.
        wanted: points to imitate.
        input_size: numbers of a point given.
        width: of the two hidden layers of both networks.
        batch_size: points a turn.
        discriminator_rate: of Adam; the generator's is `RATE`.
    """

    def __init__(
        self,
        given: Draw,
        wanted: Draw,
        *,
        input_size: int = 2,
        width: int = 128,
        batch_size: int = BATCH_SIZE,
        discriminator_rate: float = RATE,
    ) -> None:
        super().__init__()
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        self.discriminator_rate = discriminator_rate
        self.given, self.wanted, self.batch_size = given, wanted, batch_size
        self.generator, self.discriminator = MLP(input_size, 2, width=width), MLP(2, 1, width=width)

    def turns(self) -> Iterator[Turn]:
        """Yield one step of D, then one of G against the updated D (Algorithm 1 with k = 1)."""
        fake, real = self.generator(self.given(self.batch_size)), self.wanted(self.batch_size)
        loss = discriminator_loss(
            real=self.discriminator(real), fake=self.discriminator(fake.detach()), objective="vanilla"
        )
        yield Turn("discriminator", {"discriminator": loss})
        yield Turn("generator", {"generator": generator_loss(self.discriminator(fake), "vanilla")})

    def optimizers(self) -> Optimizers:
        """Return Adam for each player."""
        return adam(self, {"generator": RATE, "discriminator": self.discriminator_rate})

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Draw (count, 2) points."""
        points: Tensor = self.generator(self.given(count))
        return points


class WGAN(GAN):
    """Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1: five steps of a critic with clipped weights, one of G.

    Its rate, clipping and number of critic steps are the defaults of that algorithm.
    """

    critic_steps = 5
    clip = 0.01
    rate = 5e-5

    def turns(self) -> Iterator[Turn]:
        """Yield the critic's steps, clipping its weights after each, then one step of G."""
        for _ in range(self.critic_steps):
            with torch.no_grad():
                fake = self.generator(self.given(self.batch_size))
            real = self.wanted(self.batch_size)
            distance = discriminator_loss(
                real=self.discriminator(real), fake=self.discriminator(fake), objective="wasserstein"
            )
            yield Turn("discriminator", {"discriminator": distance})
            self._clip_weights()
        fake = self.generator(self.given(self.batch_size))
        yield Turn("generator", {"generator": generator_loss(self.discriminator(fake), "wasserstein")})

    @torch.no_grad()
    def _clip_weights(self) -> None:
        for value in self.discriminator.parameters():
            value.clamp_(-self.clip, self.clip)

    def optimizers(self) -> Optimizers:
        """Return RMSProp: the paper found Adam unstable for the critic."""
        return {player: optim.RMSprop(self.player_parameters(player), self.rate) for player in self.players}


class ConditionalGAN(Game):
    """Mirza and Osindero 2014, arXiv:1411.1784: G and D are both conditioned on the mode, as a one-hot vector.

    Args:
        draw_modes: count -> (count,) numbers of modes.
        points_of_modes: (N,) numbers of modes -> (N, 2) points of them.
        modes: how many there are.
        noise_size: numbers of z.
        width: of the two hidden layers of both networks.
        batch_size: points a turn.
    """

    def __init__(
        self,
        draw_modes: Draw,
        points_of_modes: Callable[[Tensor], Tensor],
        *,
        modes: int,
        noise_size: int = NOISE_SIZE,
        width: int = 128,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__()
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        self.draw_modes, self.points_of_modes = draw_modes, points_of_modes
        self.modes, self.noise_size, self.batch_size = modes, noise_size, batch_size
        self.generator = MLP(noise_size + modes, 2, width=width)
        self.discriminator = MLP(2 + modes, 1, width=width)

    def turns(self) -> Iterator[Turn]:
        """Yield the turns of `GAN`, with the mode concatenated to each point."""
        mode = self.draw_modes(self.batch_size)
        fake, real = self._make(mode), self.points_of_modes(mode)
        loss = discriminator_loss(
            real=self._scores(real, mode), fake=self._scores(fake.detach(), mode), objective="vanilla"
        )
        yield Turn("discriminator", {"discriminator": loss})
        yield Turn("generator", {"generator": generator_loss(self._scores(fake, mode), "vanilla")})

    def _scores(self, points: Tensor, mode: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([points, self._one_hot(mode)], dim=1))
        return scores

    def _one_hot(self, mode: Tensor) -> Tensor:
        return nn.functional.one_hot(mode, self.modes).float()

    def optimizers(self) -> Optimizers:
        """Return Adam for each player."""
        return adam(self, dict.fromkeys(self.players, RATE))

    @torch.no_grad()
    def sample(self, mode: Tensor) -> Tensor:
        """Draw one point per mode number: (N,) -> (N, 2)."""
        return self._make(mode)

    def _make(self, mode: Tensor) -> Tensor:
        noise = torch.randn(len(mode), self.noise_size)
        points: Tensor = self.generator(torch.cat([noise, self._one_hot(mode)], dim=1))
        return points


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
        """Yield one step of both D, then one of both G, in the order of `GAN`."""
        a, b = self.domain_a(self.batch_size), self.domain_b(self.batch_size)
        fake_a, fake_b = self.to_a(b), self.to_b(a)
        yield Turn(
            "discriminators",
            {
                "discriminator_a": _discriminator_loss(self.discriminator_a, a, fake_a),
                "discriminator_b": _discriminator_loss(self.discriminator_b, b, fake_b),
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
        """Return Adam for each player, as in `GAN`."""
        return adam(self, {"generators": RATE, "discriminators": self.discriminator_rate})

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Translate `count` new points of domain a to domain b: (count, 2)."""
        points: Tensor = self.to_b(self.domain_a(count))
        return points


def _discriminator_loss(discriminator: MLP, real: Tensor, fake: Tensor) -> Tensor:
    return discriminator_loss(real=discriminator(real), fake=discriminator(fake.detach()), objective="vanilla")
