"""Training of players in turns, as in `ganvas.methods`, on points instead of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.autograd import backward

from ganvas.data.density import Mixture
from ganvas.errors import DivergenceError
from ganvas.methods.base import Turn
from ganvas.progress import Progress

Draw = Callable[[int], Tensor]
"""Count -> (count, D) points, new ones at each call."""
Optimizers = Mapping[str, optim.Optimizer]


class Game(nn.Module, ABC):
    """Networks, and each player's losses in the paper's order; `play` updates the players."""

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
    """Take `steps` steps, and yield after each its last losses by name, detached.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    losses: dict[str, Tensor] = {}
    for _ in range(steps):
        for turn in game.turns():
            optimizer = optimizers[turn.player]
            optimizer.zero_grad()
            backward(torch.stack(list(turn.losses.values())).sum(), inputs=game.player_parameters(turn.player))
            optimizer.step()
            losses |= {name: loss.detach() for name, loss in turn.losses.items()}
        yield losses
    if not all(loss.isfinite() for loss in losses.values()):
        raise DivergenceError(f"{type(game).__name__} on points diverged: give fewer steps or another seed")


def train(game: Game, *, steps: int, name: str, tell: Progress) -> None:
    """Run `play` to the end with the game's own optimizers, reporting each step under `name`.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    for step, _ in enumerate(play(game, game.optimizers(), steps=steps), start=1):
        tell(name, step, steps)


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
    """Return a sampler of `size` independent standard normal numbers, from torch's global generator."""
    return lambda count: torch.randn(count, size)


def points_of(mixture: Mixture, rng: np.random.Generator) -> Draw:
    """Return a sampler of a mixture's points as tensors."""
    return lambda count: torch.from_numpy(mixture.sample(count, rng)).float()
