"""Mode collapse: how many modes of a known mixture the samples of a model still reach.

The protocol of Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761) and Lin et al. 2018 (PacGAN,
arXiv:1712.04086): 2,500 samples; one within three standard deviations of its nearest mode is of high quality;
a mode is covered when it is the nearest of at least one of those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PROTOCOL_SAMPLES", "Coverage", "measure_coverage"]

PROTOCOL_SAMPLES = 2500
WITHIN_DEVIATIONS = 3.0
"""For a true sample of a round Gaussian in the plane the distance is less with probability 1 - exp(-9/2) = .989."""
HELD_SHARE = 0.25
"""Of its fair share of all samples: what a mode needs to count as held, not only touched. Not of the papers."""


@dataclass(frozen=True)
class Coverage:
    """What a set of samples reaches.

    Attributes:
        modes: how many there are.
        covered: of them, with at least one sample of high quality.
        held: of them, with at least a quarter of their fair share in samples of high quality.
        high_quality: share of all samples, in [0, 1].
    """

    modes: int
    covered: int
    held: int
    high_quality: float


def measure_coverage(samples: NDArray[np.floating], means: NDArray[np.floating], *, deviation: float) -> Coverage:
    """Modes covered and share of high quality.

    Args:
        samples: (N, D) of a model; a row that is not finite is of low quality.
        means: (K, D) of the mixture, all modes equally likely.
        deviation: of each mode along each axis.
    """
    distances = np.linalg.norm(samples[:, None] - means, axis=-1)
    distances = np.where(np.isfinite(distances), distances, np.inf)
    good = distances.min(axis=1) <= WITHIN_DEVIATIONS * deviation
    counts = np.bincount(distances.argmin(axis=1)[good], minlength=len(means))
    return Coverage(
        modes=len(means),
        covered=int((counts > 0).sum()),
        held=int((counts >= max(HELD_SHARE * len(samples) / len(means), 1)).sum()),
        high_quality=float(good.mean()),
    )
