"""Sampling by the inverse of the CDF, and whether the samples have the density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest

from ganvas.data.density import Floats, piecewise_cdf, piecewise_samples

SAMPLES = 10_000


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
