"""Exact densities: a piecewise density on the line and Gaussian mixtures in the plane.

Needs only NumPy. Every sampling function takes a random generator, so that a seed determines the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "GRID_STEP",
    "SUPPORT",
    "Mixture",
    "grid",
    "grid_points",
    "piecewise_cdf",
    "piecewise_density",
    "piecewise_samples",
    "ring",
    "spiral",
]

Floats = NDArray[np.float64]
SUPPORT = (-3.0, 3.0)
GRID_STEP = 0.01
AREA = 3.5
"""Area under the density before normalization: 1/3 + 2/3 + 1 by the steps, 3/2 by the cosine."""


def grid_points() -> Floats:
    """Return (601,) points from -3 to 3."""
    low, high = SUPPORT
    return np.linspace(low, high, round((high - low) / GRID_STEP) + 1)


def piecewise_density(x: ArrayLike) -> Floats:
    """Return a density of three rising steps and one and a half waves.

    It is round(x + 3.5) / 3 below 0 and (cos(pi x) + 1) / 2 from 0 on, divided by 3.5 so that it integrates to 1
    over [-3, 3]; 0 outside.
    """
    x = np.asarray(x, dtype=np.float64)
    height = np.where(x < 0, np.round(x + 3.5) / 3, 0.5 * np.cos(np.pi * x) + 0.5)
    return np.asarray(np.where((x >= SUPPORT[0]) & (x <= SUPPORT[1]), height, 0.0) / AREA)


def piecewise_cdf(x: ArrayLike) -> Floats:
    """Return P(X <= x), from the closed-form integral."""
    x = np.clip(np.asarray(x, dtype=np.float64), *SUPPORT)
    steps = (np.clip(x + 3, 0, 1) + 2 * np.clip(x + 2, 0, 1) + 3 * np.clip(x + 1, 0, 1)) / 3
    wave = np.maximum(x, 0)
    return np.asarray((steps + 0.5 * wave + np.sin(np.pi * wave) / (2 * np.pi)) / AREA)


def piecewise_samples(count: int, rng: np.random.Generator) -> Floats:
    """Sample (count,) numbers by inverse transform sampling, with the CDF interpolated on the grid.

    If U is uniform, the inverse CDF of U has the density (Devroye 1986, "Non-Uniform Random Variate Generation",
    Sec. II.2). The CDF is the running mean of the density over the grid's cells, normalized to end at 1.
    """
    x = grid_points()
    density = piecewise_density(x)
    cells = 0.5 * (density[1:] + density[:-1])
    cdf = np.concatenate([[0.0], np.cumsum(cells) / cells.sum()])
    return np.interp(rng.uniform(size=count), cdf, x)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Uniform mixture of isotropic Gaussians in the plane.

    Attributes:
        means: (K, 2) means of the components.
        deviation: common standard deviation of the components along each axis.
    """

    means: Floats
    deviation: float

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Sample (count, 2) points."""
        return self.sample_modes(rng.integers(len(self.means), size=count), rng)

    def sample_modes(self, modes: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Sample (count, 2) points of given modes, (count,) indices."""
        return self.means[modes] + self.deviation * rng.standard_normal((len(modes), 2))

    def log_density(self, points: Floats) -> Floats:
        """Return log p of points: (N, 2) -> (N,)."""
        exponents = -0.5 * np.square((points[:, None] - self.means) / self.deviation).sum(-1)
        highest = exponents.max(axis=1)
        total = np.log(np.exp(exponents - highest[:, None]).sum(axis=1))
        return np.asarray(highest + total - np.log(len(self.means) * 2 * np.pi * self.deviation**2))


def ring(modes: int = 8, *, radius: float = 2.0, deviation: float = 0.02) -> Mixture:
    """Return Gaussians on a circle: eight, of radius 2 and deviation 0.02, as Metz et al. 2017, arXiv:1611.02163."""
    angles = 2 * np.pi * np.arange(modes) / modes
    return Mixture(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), deviation)


def grid(side: int = 5, *, spacing: float = 2.0, deviation: float = 0.05) -> Mixture:
    """Return Gaussians on a square grid: 25, 2 apart, of deviation 0.05, as Lin et al. 2018, arXiv:1712.04086."""
    places = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture(np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2), deviation)


def spiral(modes: int = 8, *, radius: float = 2.0, deviation: float = 0.05) -> Mixture:
    """Return Gaussians on a sunflower spiral, evenly distributed over a disc (Vogel 1979)."""
    order = np.arange(modes)
    distance, angle = radius * np.sqrt((order + 0.5) / modes), np.pi * (3 - np.sqrt(5)) * order
    return Mixture(distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), deviation)
