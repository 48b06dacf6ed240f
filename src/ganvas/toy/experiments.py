"""Experiments on densities: sampling, maximum likelihood as minimum KL divergence, and dual learning.

The two objectives of the likelihood differ by the entropy H(P), which does not depend on the model:

    - mean log q(x)  ->  H(P, Q) = H(P) + KL(P || Q)

Goodfellow et al. 2016, "Deep Learning", Sec. 5.5. The family is N(mu, s^2) with s fixed to the deviation of P, so that
each curve is a function of mu only.

In dual learning (He et al. 2016, "Dual learning for machine translation", arXiv:1611.00179), here of points in the
plane, two translators train each other without pairs. One translates a point; a model of the target domain scores the
likelihood of the translation; the second translates back and scores the likelihood of the original point. The paper's
model is a language model; here it is the exact density of the domain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from ganvas.losses import cross_entropy, entropy, kl_divergence
from ganvas.methods.base import Turn
from ganvas.metrics.distribution import WITHIN_DEVIATIONS
from ganvas.networks.blocks import MLP
from ganvas.progress import SILENT, Progress
from ganvas.toy.densities import (
    GRID_STEP,
    Floats,
    Mixture,
    grid_points,
    piecewise_cdf,
    piecewise_density,
    piecewise_samples,
    ring,
    spiral,
)
from ganvas.toy.games import Draw, Game, adam, play, points_of, seeded
from ganvas.training.step import Optimizers, run_turns

MEANS = 301
"""Values of mu, from -1.5 to 1.5."""
SAMPLES = 10_000


@dataclass(frozen=True)
class Curves:
    """Three curves over the model's mean, in nats.

    Attributes:
        means: (M,) values of mu.
        likelihood: (M,) - mean log q over samples.
        cross_entropy: (M,) H(P, Q) on the grid.
        kl: (M,) KL(P || Q) on the grid.
        entropy: H(P).
        deviation: s of the model.
    """

    means: Floats
    likelihood: Floats
    cross_entropy: Floats
    kl: Floats
    entropy: float
    deviation: float

    @property
    def minimizers(self) -> dict[str, float]:
        """Return curve -> mu at its minimum."""
        curves = {"likelihood": self.likelihood, "cross_entropy": self.cross_entropy, "kl": self.kl}
        return {name: round(float(self.means[curve.argmin()]), 6) for name, curve in curves.items()}

    @property
    def largest_gap_error(self) -> float:
        """Return the largest | H(P, Q) - KL(P || Q) - H(P) | over the curve."""
        return float(np.abs(self.cross_entropy - self.kl - self.entropy).max())


def likelihood_curves(*, seed: int, count: int = 10_000) -> Curves:
    """Compute the curves for the piecewise density of `ganvas.toy.densities` and `count` samples of it."""
    x = torch.from_numpy(grid_points())
    p = torch.from_numpy(piecewise_density(grid_points()))
    p = p / (p.sum() * GRID_STEP)
    middle = float((p * x).sum() * GRID_STEP)
    deviation = float((p * (x - middle) ** 2).sum() * GRID_STEP) ** 0.5
    means = torch.linspace(-1.5, 1.5, MEANS, dtype=torch.float64)
    q = _log_normal(x, means, deviation).exp()
    samples = torch.from_numpy(piecewise_samples(count, np.random.default_rng(seed)))
    return Curves(
        means=means.numpy(),
        likelihood=-_log_normal(samples, means, deviation).mean(-1).numpy(),
        cross_entropy=cross_entropy(p, q, step=GRID_STEP).numpy(),
        kl=kl_divergence(p, q, step=GRID_STEP).numpy(),
        entropy=float(entropy(p, step=GRID_STEP)),
        deviation=deviation,
    )


def _log_normal(x: Tensor, means: Tensor, deviation: float) -> Tensor:
    """Compute log N(x; mu, s^2): (n,) points and (M,) means -> (M, n)."""
    scaled = (x - means[:, None]) / deviation
    logarithms: Tensor = -0.5 * scaled.square() - math.log(deviation * math.sqrt(2 * math.pi))
    return logarithms


@dataclass(frozen=True)
class Sampling:
    """Samples and their two-sided Kolmogorov-Smirnov test against the exact CDF.

    Attributes:
        samples: (N,).
        distance: largest difference between the empirical and the exact CDF.
        p_value: probability of a distance at least as large for an exact sampler.
    """

    samples: Floats
    distance: float
    p_value: float


def sample_piecewise(*, seed: int, count: int = SAMPLES) -> Sampling:
    """Sample from the piecewise density of `ganvas.toy.densities`, and test the samples."""
    samples = piecewise_samples(count, np.random.default_rng(seed))
    tested = kstest(piecewise_cdf(samples), "uniform")  # F(X) is uniform if X has the CDF F
    return Sampling(samples, distance=float(tested.statistic), p_value=float(tested.pvalue))


LogDensity = Callable[[Tensor], Tensor]
"""(N, 2) points -> (N,) log density."""
DEVIATION = 0.1
PROBES = 2000
MOMENTS = 40
"""Number of measurements of a run."""


@dataclass(frozen=True)
class Domain:
    """Sampler and log density of a domain."""

    draw: Draw
    log_density: LogDensity


class Translator(nn.Module):
    """Stochastic translator P(y | x) = N(y; f(x), noise^2).

    Args:
        noise: fixed standard deviation.
        width: width of the two hidden layers of f.
    """

    def __init__(self, *, noise: float, width: int = 128) -> None:
        super().__init__()
        self.noise, self.mean = noise, MLP(2, 2, width=width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the most likely translation, (N, 2) -> (N, 2)."""
        y: Tensor = self.mean(x)
        return y

    def draw(self, x: Tensor) -> Tensor:
        """Sample a translation without gradient, (N, 2) -> (N, 2)."""
        mean: Tensor = self(x).detach()
        return mean + self.noise * torch.randn_like(mean)

    def log_probability(self, y: Tensor, x: Tensor) -> Tensor:
        """Compute log P(y | x), (N,)."""
        squared: Tensor = ((y - self(x)) / self.noise).square().sum(-1)
        return -0.5 * squared - math.log(2 * math.pi * self.noise**2)


class DualLearning(Game):
    """Dual learning, Algorithm 1 with both games in each step.

    Args:
        a: one domain.
        b: the other.
        alpha: share of fluency in the reward; 0.01 is the paper's.
        noise: noise of both translators.
        samples: K, number of translations sampled for each point. Their mean reward is the baseline, which reduces the
            variance of the gradient; the paper uses the K most likely translations of a beam search instead.
        batch_size: number of points of each domain per step.
        width: width of the translators' hidden layers.
    """

    def __init__(
        self,
        a: Domain,
        b: Domain,
        *,
        alpha: float = 0.01,
        noise: float = 0.1,
        samples: int = 4,
        batch_size: int = 64,
        width: int = 128,
    ) -> None:
        super().__init__()
        self.players = {"translators": ("to_b", "to_a")}
        self.a, self.b, self.alpha, self.samples, self.batch_size = a, b, alpha, samples, batch_size
        self.to_b, self.to_a = Translator(noise=noise, width=width), Translator(noise=noise, width=width)

    def turns(self) -> Iterator[Turn]:
        """Play the game from a and the game from b, then update both translators once."""
        from_a = self._game(self.a, self.b, self.to_b, self.to_a)
        from_b = self._game(self.b, self.a, self.to_a, self.to_b)
        self.rewards = {name: (from_a.rewards[name] + from_b.rewards[name]) / 2 for name in from_a.rewards}
        yield Turn("translators", {"from_a": from_a.loss, "from_b": from_b.loss})

    def _game(self, start: Domain, other: Domain, there: Translator, back: Translator) -> GameResult:
        x = start.draw(self.batch_size).repeat_interleave(self.samples, dim=0)
        y = there.draw(x)
        fluency, reconstruction = other.log_density(y), back.log_probability(x, y)
        reward = self.alpha * fluency + (1 - self.alpha) * reconstruction.detach()
        advantage = (reward.view(-1, self.samples) - reward.view(-1, self.samples).mean(1, keepdim=True)).flatten()
        learn_there = -(advantage * there.log_probability(y, x)).mean()
        learn_back = -(1 - self.alpha) * reconstruction.mean()
        seen = {"reward": reward, "fluency": fluency, "reconstruction": reconstruction.detach()}
        return GameResult(learn_there + learn_back, {name: float(value.mean()) for name, value in seen.items()})

    def optimizers(self) -> Optimizers:
        """Return Adam; the paper uses AdaDelta and SGD for its recurrent networks."""
        return adam(self, {"translators": 1e-3}, betas=(0.9, 0.999))

    def learn_from_pairs(self, a: Tensor, b: Tensor, *, steps: int = 300) -> None:
        """Warm-start both translators by maximum likelihood on a few pairs, (N, 2) each, as the paper does."""
        optimizers = self.optimizers()
        for _ in range(steps):
            run_turns([self._likelihood_turns(a, b)], optimizers)

    def _likelihood_turns(self, a: Tensor, b: Tensor) -> Iterator[Turn]:
        loss = -(self.to_b.log_probability(b, a).mean() + self.to_a.log_probability(a, b).mean())
        yield Turn("translators", {"likelihood": loss})


@dataclass(frozen=True)
class GameResult:
    """Result of one game: the loss to minimize, and the mean of each part of the reward."""

    loss: Tensor
    rewards: dict[str, float]


def log_density_of(mixture: Mixture) -> LogDensity:
    """Return the exact log density of a mixture as a function of points."""
    return lambda points: torch.from_numpy(mixture.log_density(points.double().numpy())).float()


@dataclass
class DualRun:
    """Measurements of one run of dual learning, at equal intervals.

    Attributes:
        pairs: number of known pairs of distinct modes, for the warm start.
        steps: steps of the measurements; 0 is after the warm start.
        reward: mean over both games of each step; one entry fewer, since there is none at step 0.
        distance: mean distance between a point of a and the back translation of its most likely translation.
        right: share of points of a whose translation is nearest to the mode of the same number, in [0, 1].
        fluent: share of points of a whose translation is within three deviations of a mode of b, in [0, 1].
    """

    pairs: int
    steps: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    fluent: list[float] = field(default_factory=list)


def watch_dual_learning(*, pairs: int, seed: int, steps: int, progress: Progress = SILENT) -> DualRun:
    """Train two translators by dual learning, after a warm start on `pairs` pairs.

    Domain a is a spiral of eight Gaussians, b a ring of eight; mode i of a corresponds to mode i of b.

    Args:
        pairs: number of pairs of distinct modes, 1 to 8.
        seed: seed of every draw.
        steps: steps of dual learning.
        progress: receives each step.

    Raises:
        DivergenceError: the losses of the last step are not finite.
    """
    a, b = spiral(deviation=DEVIATION), ring(deviation=DEVIATION)
    run, known = DualRun(pairs), np.arange(pairs)
    with seeded(seed) as rng:
        domain_a, domain_b = (Domain(points_of(one, rng), log_density_of(one)) for one in (a, b))
        game = DualLearning(domain_a, domain_b, noise=DEVIATION)
        game.learn_from_pairs(_as_tensor(a.sample_modes(known, rng)), _as_tensor(b.sample_modes(known, rng)))
        _measure(run, 0, game, a, b)
        for step, _ in enumerate(play(game, game.optimizers(), steps=steps), start=1):
            if step % max(steps // MOMENTS, 1) == 0 or step == steps:
                run.reward.append(game.rewards["reward"])
                _measure(run, step, game, a, b)
            progress(f"dual learning, {pairs} known pairs", step, steps)
    return run


@torch.no_grad()
def _measure(run: DualRun, step: int, game: DualLearning, a: Mixture, b: Mixture) -> None:
    # The same probes at each measurement, without using the random generators of training.
    rng = np.random.default_rng(0)
    modes = rng.integers(len(a.means), size=PROBES)
    points = _as_tensor(a.sample_modes(modes, rng))
    translated = game.to_b(points)
    apart = np.linalg.norm(translated.numpy()[:, None] - b.means, axis=-1)
    run.steps.append(step)
    run.distance.append(float((game.to_a(translated) - points).norm(dim=1).mean()))
    run.right.append(float((apart.argmin(axis=1) == modes).mean()))
    run.fluent.append(float((apart.min(axis=1) <= WITHIN_DEVIATIONS * b.deviation).mean()))


def _as_tensor(points: Floats) -> Tensor:
    return torch.from_numpy(points).float()


Curve = tuple[Sequence[int], Sequence[float]]


PANELS: dict[str, Callable[[DualRun], Curve]] = {
    "reward": lambda run: (run.steps[1:], run.reward),
    "distance after there and back": lambda run: (run.steps, run.distance),
    "share translated right": lambda run: (run.steps, run.right),
    "share within 3 deviations": lambda run: (run.steps, run.fluent),
}


def as_panels(runs: Sequence[DualRun]) -> dict[str, dict[str, Curve]]:
    """Return title -> name of a run -> (steps, values) for plotting."""
    return {title: {f"{run.pairs} known pairs": curve(run) for run in runs} for title, curve in PANELS.items()}
