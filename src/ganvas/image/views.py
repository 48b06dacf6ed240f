"""Views of a picture: 8-bit RGB pictures that together show all its channels and its whole range of values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Picture, Pixels
from ganvas.image.ranges import all_finite, strips, tail_percentiles

__all__ = ["views"]

LEAST_CONTRAST: Final = 64
"""Levels of 255 between the 0.5th and the 99.5th percentile; 8-bit pictures with fewer are also viewed stretched."""
THINNED: Final = 2**17
"""Approximate number of pixels that `_thinned` keeps."""


def views(picture: Picture) -> Iterator[NDArray[np.uint8]]:
    """Yield what classifiers and detectors examine: the first three channels as RGB, each further one as gray.

    Each view is (H, W, 3) uint8. Deep and float pictures, and 8-bit ones that are very dark, very bright or flat, yield
    a second view with their own range stretched to the screen's: 12 bits in 16, radiances beyond 1, or a picture
    darkened to a few levels would otherwise look black or white.

    Raises:
        ValueError: a sample is not finite.
    """
    if not all_finite(picture.color):
        raise ValueError("it holds samples that are NaN or infinite")
    for group in _groups(picture.color):
        yield Picture(group).as_rgb8()
        low, high = tail_percentiles(_thinned(group), 0.5)  # a few hot pixels do not count
        if group.dtype != np.uint8 or 0 < high - low < LEAST_CONTRAST:
            yield _stretched(group, low, high)


def _groups(color: Pixels) -> list[Pixels]:
    num_together = 3 if color.shape[2] >= 3 else 1
    further = [color[:, :, index : index + 1] for index in range(num_together, color.shape[2])]
    return [color[:, :, :num_together], *further]


def _thinned(group: Pixels) -> Pixels:
    """Return every n-th row and column of 8-bit pictures, about `THINNED` pixels, enough to measure contrast."""
    if group.dtype != np.uint8:
        return group
    step = max(1, math.isqrt(group.shape[0] * group.shape[1] // THINNED))
    return group[::step, ::step]


def _stretched(group: Pixels, low: float, high: float) -> NDArray[np.uint8]:
    span = max(high - low, float(np.finfo(np.float32).tiny))
    screen = np.empty((*group.shape[:2], 3), np.uint8)
    for rows in strips(group):
        unit = (group[rows].astype(np.float64) - low) / span
        screen[rows] = np.rint(255 * np.clip(unit, 0, 1))
    return screen
