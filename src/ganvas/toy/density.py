"""Sampling from a known density, and maximum likelihood as minimum KL divergence.

The two objectives differ by the entropy H(P), which does not depend on the model:

    - mean log q(x)  ->  H(P, Q) = H(P) + KL(P || Q)

Goodfellow et al. 2016, "Deep Learning", Sec. 5.5. The family is N(mu, s^2) with s fixed to the deviation of P, so that
each curve is a function of mu alone and can be drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import kstest
from torch import Tensor

from ganvas.data.density import GRID_STEP, Floats, grid_points, piecewise_cdf, piecewise_density, piecewise_samples
from ganvas.losses.divergence import cross_entropy, entropy, kl_divergence

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
        """Return curve -> the mu where it is lowest."""
        curves = {"likelihood": self.likelihood, "cross_entropy": self.cross_entropy, "kl": self.kl}
        return {name: round(float(self.means[curve.argmin()]), 6) for name, curve in curves.items()}

    @property
    def largest_gap_error(self) -> float:
        """Return the largest | H(P, Q) - KL(P || Q) - H(P) | over the curve."""
        return float(np.abs(self.cross_entropy - self.kl - self.entropy).max())


def likelihood_curves(*, seed: int, count: int = 10_000) -> Curves:
    """Compute the curves for the piecewise density of `ganvas.data.density` and `count` samples of it."""
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
    """What was drawn, and the two-sided Kolmogorov-Smirnov test of it against the exact CDF.

    Attributes:
        samples: (N,).
        distance: largest difference between the empirical and the exact CDF.
        p_value: of a distance at least as large, were the sampler exact.
    """

    samples: Floats
    distance: float
    p_value: float


def sample_piecewise(*, seed: int, count: int = SAMPLES) -> Sampling:
    """Draw from the piecewise density of `ganvas.data.density` and test."""
    samples = piecewise_samples(count, np.random.default_rng(seed))
    tested = kstest(piecewise_cdf(samples), "uniform")  # F(X) is uniform where X has the CDF F
    return Sampling(samples, distance=float(tested.statistic), p_value=float(tested.pvalue))
