"""Blur kernels of blind degradations: Gaussian, generalized Gaussian, plateau-shaped, and sinc filters.

Those of Real-ESRGAN: Wang et al. 2021, arXiv:2107.10833. A kernel is (size, size), float64, of an odd size, symmetric
about its center, and sums to 1.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Kernel", "Range", "draw_kernel", "draw_sinc_kernel", "gaussian_kernel", "plateau_kernel", "sinc_kernel"]

Kernel = NDArray[np.float64]
Range = tuple[float, float]
"""Smallest and largest value of a setting."""
Shape = Literal["gaussian", "generalized", "plateau"]
SHAPES: tuple[tuple[Shape, bool], ...] = (
    ("gaussian", True), ("gaussian", False),
    ("generalized", True), ("generalized", False),
    ("plateau", True), ("plateau", False),
)  # fmt: skip
"""Shape, and whether the kernel is isotropic."""
SHAPE_PROBABILITIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
"""Of `SHAPES`: .7 Gaussian, .15 generalized, .15 plateau-shaped (Sec. 4.1), divided as in the released settings."""
RADII = (3, 10)
"""Smallest and largest radius: sizes 7, 9, ..., 21 (Sec. 4.1)."""
SINC_PROBABILITY = 0.1
"""Probability of a sinc filter in place of a blur kernel (Sec. 4.1)."""
SMALL = 13
"""Sizes below it have a larger smallest cutoff: their ripples would not fit."""
CUTOFFS, SMALL_CUTOFFS = (pi / 5, pi), (pi / 3, pi)
"""Ranges of the cutoff frequency in radians per pixel, as released."""
GENERALIZED_BETA, PLATEAU_BETA = (0.5, 4.0), (1.0, 2.0)
"""Ranges of the shape parameter (Sec. 4.1)."""


def gaussian_kernel(size: int, *, deviations: Range, angle: float = 0.0, beta: float = 1.0) -> Kernel:
    """Return exp(-(C^T S^-1 C)^beta / 2), normalized: Eq. 2; beta 1 is the Gaussian.

    Args:
        size: odd number of pixels along each side.
        deviations: standard deviations along the two axes, in pixels.
        angle: of the first axis to the horizontal, in radians.
        beta: below 1 the kernel is more pointed than a Gaussian, above 1 flatter.
    """
    return _normalized(np.exp(-0.5 * _distances(size, deviations, angle) ** beta))


def plateau_kernel(size: int, *, deviations: Range, angle: float = 0.0, beta: float = 1.0) -> Kernel:
    """Return 1 / (1 + (C^T S^-1 C)^beta), normalized: Eq. 3. Arguments as for `gaussian_kernel`."""
    return _normalized(1 / (1 + _distances(size, deviations, angle) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Return the ideal low-pass filter of a circular band, cut to `size` and normalized: Eq. 6. It rings at edges.

    Args:
        size: odd number of pixels along each side.
        cutoff: frequency in radians per pixel, at most pi.
    """
    rows, columns = _offsets(size)
    radius = np.hypot(rows, columns)
    center = size // 2
    radius[center, center] = 1.0
    bessel = torch.special.bessel_j1(torch.from_numpy(cutoff * radius)).numpy()
    kernel = cutoff * bessel / (2 * pi * radius)
    kernel[center, center] = cutoff**2 / (4 * pi)  # the limit of J1(x) / x is 1/2
    return _normalized(kernel)


def draw_kernel(random: np.random.Generator, deviations: Range) -> Kernel:
    """Return a random blur kernel or, with a probability of .1, a sinc filter (Sec. 4.1).

    Args:
        random: the generator to draw from.
        deviations: range of the standard deviations, in pixels.
    """
    size = _draw_size(random)
    if random.random() < SINC_PROBABILITY:
        return sinc_kernel(size, random.uniform(*(SMALL_CUTOFFS if size < SMALL else CUTOFFS)))
    shape, is_isotropic = SHAPES[int(random.choice(len(SHAPES), p=SHAPE_PROBABILITIES))]
    first, second = random.uniform(*deviations), random.uniform(*deviations)
    angle = 0.0 if is_isotropic else random.uniform(-pi, pi)
    both = (first, first) if is_isotropic else (first, second)
    if shape == "plateau":
        return plateau_kernel(size, deviations=both, angle=angle, beta=_draw_beta(random, PLATEAU_BETA))
    beta = 1.0 if shape == "gaussian" else _draw_beta(random, GENERALIZED_BETA)
    return gaussian_kernel(size, deviations=both, angle=angle, beta=beta)


def draw_sinc_kernel(random: np.random.Generator) -> Kernel:
    """Return a sinc filter of random size and cutoff, for the end of the degradation."""
    return sinc_kernel(_draw_size(random), random.uniform(*SMALL_CUTOFFS))


def _draw_size(random: np.random.Generator) -> int:
    return 2 * int(random.integers(RADII[0], RADII[1] + 1)) + 1


def _draw_beta(random: np.random.Generator, ends: Range) -> float:
    """Return a number below or above 1 with equal probability, as released."""
    return random.uniform(ends[0], 1.0) if random.random() < 0.5 else random.uniform(1.0, ends[1])


def _offsets(size: int) -> tuple[Kernel, Kernel]:
    """Return the offsets from the center in rows and in columns, each (size, size)."""
    assert size % 2, "kernels have a center"
    offsets = np.arange(size, dtype=np.float64) - size // 2
    rows, columns = np.meshgrid(offsets, offsets, indexing="ij")
    return rows, columns


def _distances(size: int, deviations: Range, angle: float) -> Kernel:
    """Return C^T S^-1 C with S = R diag(deviations^2) R^T, (size, size)."""
    rows, columns = _offsets(size)
    along = cos(angle) * columns + sin(angle) * rows
    across = cos(angle) * rows - sin(angle) * columns
    return np.asarray((along / deviations[0]) ** 2 + (across / deviations[1]) ** 2)


def _normalized(kernel: Kernel) -> Kernel:
    return np.asarray(kernel / kernel.sum())
