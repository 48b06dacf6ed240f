"""Dual learning watched: how the reward, the way back and the right translation fare over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ganvas.bulk.progress import Tell
from ganvas.data.density import Floats, Mixture, ring, spiral
from ganvas.metrics.collapse import WITHIN_DEVIATIONS
from ganvas.toy.dual import Domain, DualLearning, judged_by
from ganvas.toy.game import play, points_of, seeded, silent

DEVIATION = 0.1
PROBES = 2000
MOMENTS = 40
"""How often a run is measured."""


@dataclass
class Watched:
    """One run of dual learning, measured before it and at even moments of it.

    Attributes:
        pairs: known pairs, each of another mode, that both translators were warmed up on.
        steps: when it was measured; 0 is after the warming up.
        reward: mean over both games of that step; one fewer, for there is none at 0.
        distance: mean between a point of a and its likeliest translation translated back.
        right: share of points of a whose translation is nearest to the mode of the same number, in [0, 1].
        fluent: share of them whose translation is within three deviations of a mode of b, in [0, 1].
    """

    pairs: int
    steps: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    fluent: list[float] = field(default_factory=list)


def watch_dual_learning(*, pairs: int, seed: int, steps: int, tell: Tell = silent) -> Watched:
    """Warm two translators up on `pairs` pairs, then let them play without any.

    Domain a is a spiral of eight Gaussians, b a ring of eight; mode i of a and mode i of b mean the same.

    Args:
        pairs: 1 to 8, each of another mode.
        seed: of everything drawn.
        steps: of dual learning.
        tell: of each step.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    a, b = spiral(deviation=DEVIATION), ring(deviation=DEVIATION)
    watched, known = Watched(pairs), np.arange(pairs)
    with seeded(seed) as rng:
        domain_a, domain_b = (Domain(points_of(one, rng), judged_by(one)) for one in (a, b))
        game = DualLearning(domain_a, domain_b, noise=DEVIATION)
        game.learn_from_pairs(_as_tensor(a.sample_modes(known, rng)), _as_tensor(b.sample_modes(known, rng)))
        _measure(watched, 0, game, a, b)
        for step, _ in enumerate(play(game, game.optimizers(), steps=steps), start=1):
            if step % max(steps // MOMENTS, 1) == 0 or step == steps:
                watched.reward.append(game.rewards["reward"])
                _measure(watched, step, game, a, b)
            tell(f"dual learning, {pairs} known pairs", step, steps)
    return watched


@torch.no_grad()
def _measure(watched: Watched, step: int, game: DualLearning, a: Mixture, b: Mixture) -> None:
    rng = np.random.default_rng(0)  # the same probes at each moment, and none of the training's chance is spent
    modes = rng.integers(len(a.means), size=PROBES)
    points = _as_tensor(a.sample_modes(modes, rng))
    made = game.to_b(points)
    apart = np.linalg.norm(made.numpy()[:, None] - b.means, axis=-1)
    watched.steps.append(step)
    watched.distance.append(float((game.to_a(made) - points).norm(dim=1).mean()))
    watched.right.append(float((apart.argmin(axis=1) == modes).mean()))
    watched.fluent.append(float((apart.min(axis=1) <= WITHIN_DEVIATIONS * b.deviation).mean()))


def _as_tensor(points: Floats) -> Tensor:
    return torch.from_numpy(points).float()


Curve = tuple[Sequence[int], Sequence[float]]
PANELS: dict[str, Callable[[Watched], Curve]] = {
    "reward": lambda run: (run.steps[1:], run.reward),
    "distance after there and back": lambda run: (run.steps, run.distance),
    "share translated right": lambda run: (run.steps, run.right),
    "share within 3 deviations": lambda run: (run.steps, run.fluent),
}


def as_panels(runs: Sequence[Watched]) -> dict[str, dict[str, Curve]]:
    """Title -> name of a run -> (steps, values), to draw."""
    return {title: {f"{run.pairs} known pairs": curve(run) for run in runs} for title, curve in PANELS.items()}
