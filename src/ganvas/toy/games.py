"""GAN, Wasserstein GAN, conditional GAN and CycleGAN on points in the plane.

The training loop is that of the methods on pictures (`ganvas.training.step.run_turns`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn, optim

from ganvas.errors import DivergenceError
from ganvas.losses import discriminator_loss, generator_loss, l1_loss
from ganvas.methods.base import Turn
from ganvas.networks.blocks import MLP
from ganvas.progress import SILENT, Progress
from ganvas.toy.densities import Mixture
from ganvas.training.step import Optimizers, run_turns

Draw = Callable[[int], Tensor]
"""Function from a count to (count, D) points, new ones at each call."""
BATCH_SIZE = 128
NOISE_SIZE = 2
"""Size of z, as in Lin et al. 2018, arXiv:1712.04086, for points."""
RATE = 1e-3
"""Learning rate of Adam for all players."""


class Game(nn.Module, ABC):
    """Networks and the losses of each player in the order of the paper, as in `ganvas.methods.base.Method`."""

    players: Mapping[str, tuple[str, ...]]
    """Player -> the attribute names of its networks."""

    @abstractmethod
    def turns(self) -> Iterator[Turn]:
        """Yield each player's losses for one step; the player is updated before the next line runs."""

    @abstractmethod
    def optimizers(self) -> Optimizers:
        """Return one optimizer per player, as in its paper."""

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """Return the parameters that a turn of `player` updates."""
        return [value for name in self.players[player] for value in getattr(self, name).parameters()]


def play(game: Game, optimizers: Optimizers, *, steps: int) -> Iterator[dict[str, Tensor]]:
    """Train for `steps` steps, and yield the losses of each: `<player>/<loss>` -> detached scalar.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    losses: dict[str, Tensor] = {}
    for _ in range(steps):
        losses = run_turns([game.turns()], optimizers)
        yield losses
    if not all(loss.isfinite() for loss in losses.values()):
        raise DivergenceError(f"{type(game).__name__} on points diverged: use fewer steps or another seed")


def train(game: Game, *, steps: int, name: str, progress: Progress = SILENT) -> None:
    """Train a game with its own optimizers; `progress` receives each step under `name`.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    for step, _ in enumerate(play(game, game.optimizers(), steps=steps), start=1):
        progress(name, step, steps)


@contextmanager
def seeded(seed: int) -> Iterator[np.random.Generator]:
    """Seed NumPy's and torch's generators; restore torch's own afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield np.random.default_rng(seed)


def adam(game: Game, rates: Mapping[str, float], *, betas: tuple[float, float] = (0.5, 0.999)) -> Optimizers:
    """Return Adam for each player at its own rate; `betas` of Radford et al. 2016, arXiv:1511.06434."""
    return {
        player: optim.Adam(game.player_parameters(player), rate, betas, fused=True) for player, rate in rates.items()
    }


def normal_noise(size: int) -> Draw:
    """Return a sampler of `size` independent standard normal numbers from torch's global generator."""
    return lambda count: torch.randn(count, size)


def points_of(mixture: Mixture, rng: np.random.Generator) -> Draw:
    """Return a sampler of a mixture's points as tensors."""
    return lambda count: torch.from_numpy(mixture.sample(count, rng)).float()


class GAN(Game):
    """GAN with the non-saturating generator loss: Goodfellow et al. 2014, arXiv:1406.2661.

    Args:
        source: input of the generator: noise, or points of another domain.
        target: points to imitate.
        input_size: dimension of an input.
        width: width of the two hidden layers of both networks.
        batch_size: points per turn.
        discriminator_rate: learning rate of Adam; the generator's is `RATE`.
    """

    def __init__(
        self,
        source: Draw,
        target: Draw,
        *,
        input_size: int = 2,
        width: int = 128,
        batch_size: int = BATCH_SIZE,
        discriminator_rate: float = RATE,
    ) -> None:
        super().__init__()
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        self.discriminator_rate = discriminator_rate
        self.source, self.target, self.batch_size = source, target, batch_size
        self.generator, self.discriminator = MLP(input_size, 2, width=width), MLP(2, 1, width=width)

    def turns(self) -> Iterator[Turn]:
        """Yield one step of D, then one of G against the updated D (Algorithm 1 with k = 1)."""
        fake, real = self.generator(self.source(self.batch_size)), self.target(self.batch_size)
        yield Turn("discriminator", {"loss": _discriminator_loss(self.discriminator, real, fake)})
        yield Turn("generator", {"adversarial": generator_loss(self.discriminator(fake), "vanilla")})

    def optimizers(self) -> Optimizers:
        """Return Adam for each player."""
        return adam(self, {"generator": RATE, "discriminator": self.discriminator_rate})

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Draw (count, 2) points."""
        points: Tensor = self.generator(self.source(count))
        return points


class WGAN(GAN):
    """Wasserstein GAN: Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1: five steps of a clipped critic, one of G.

    Its rate, clipping and number of critic steps are the defaults of that algorithm.
    """

    critic_steps = 5
    clip = 0.01
    rate = 5e-5

    def turns(self) -> Iterator[Turn]:
        """Yield the critic's steps, clipping its weights after each, then one step of G."""
        for _ in range(self.critic_steps):
            with torch.no_grad():
                fake = self.generator(self.source(self.batch_size))
            real = self.target(self.batch_size)
            distance = discriminator_loss(
                real=self.discriminator(real), fake=self.discriminator(fake), objective="wasserstein"
            )
            yield Turn("discriminator", {"loss": distance})
            self._clip_weights()
        fake = self.generator(self.source(self.batch_size))
        yield Turn("generator", {"adversarial": generator_loss(self.discriminator(fake), "wasserstein")})

    @torch.no_grad()
    def _clip_weights(self) -> None:
        for value in self.discriminator.parameters():
            value.clamp_(-self.clip, self.clip)

    def optimizers(self) -> Optimizers:
        """Return RMSProp: the paper found Adam unstable for the critic."""
        return {player: optim.RMSprop(self.player_parameters(player), self.rate) for player in self.players}


class ConditionalGAN(Game):
    """Conditional GAN: G and D receive the mode as a one-hot vector. Mirza and Osindero 2014, arXiv:1411.1784.

    Args:
        draw_modes: count -> (count,) indices of modes.
        points_of_modes: (N,) indices of modes -> (N, 2) points of them.
        modes: number of modes.
        noise_size: size of z.
        width: width of the two hidden layers of both networks.
        batch_size: points per turn.
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
        yield Turn("discriminator", {"loss": loss})
        yield Turn("generator", {"adversarial": generator_loss(self._scores(fake, mode), "vanilla")})

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
        """Draw one point per mode index: (N,) -> (N, 2)."""
        return self._make(mode)

    def _make(self, mode: Tensor) -> Tensor:
        noise = torch.randn(len(mode), self.noise_size)
        points: Tensor = self.generator(torch.cat([noise, self._one_hot(mode)], dim=1))
        return points


class CycleGAN(Game):
    """CycleGAN on points, with the objective of `GAN`. Zhu et al. 2017, arXiv:1703.10593, Eq. 3.

    It differs from two `GAN`s only by the cycle term. The toy problem is that of Kim et al. 2017 (DiscoGAN),
    arXiv:1703.05192.

    Args:
        domain_a: points of one domain.
        domain_b: points of the other.
        cycle_weight: lambda of Eq. 3; 1 as in the toy problem of Kim et al. (for pictures, 10).
        width: width of the two hidden layers of all four networks.
        batch_size: points of each domain per turn.
        discriminator_rate: learning rate of Adam; the generators' is `RATE`.
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
