"""Questions about all samples of a picture, answered strip by strip: no copy of a large picture is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Pixels

__all__ = ["all_finite", "percentiles", "strips"]

STRIP = 2**19
"""Samples that are worked on at a time."""
LOW_BITS = 16
"""Order statistics of 32-bit samples are found in two rounds: by the upper bits, then by these."""


def strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows, together all of them, each of at most STRIP samples (or of one row)."""
    rows = max(1, STRIP // max(1, pixels[0].size))
    return (slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows))


def all_finite(pixels: Pixels) -> bool:
    """Whether no sample is NaN or infinite."""
    return pixels.dtype.kind != "f" or all(np.isfinite(pixels[rows]).all() for rows in strips(pixels))


def percentiles(pixels: Pixels, shares: Sequence[float]) -> list[float]:
    """`np.percentile` of the samples as float64, to the bit, without sorting a copy of them.

    Args:
        pixels: (H, W, C) uint8, uint16 or finite float32.
        shares: in [0, 100].
    """
    places = [(pixels.size - 1) * (share / 100) for share in shares]
    lower = [int(place) for place in places]
    upper = [min(rank + 1, pixels.size - 1) for rank in lower]
    found = _order_statistics(pixels, {*lower, *upper})
    return [
        _between(found[low], found[high], place - low) for place, low, high in zip(places, lower, upper, strict=True)
    ]


def _between(low: float, high: float, share: float) -> float:
    """As numpy does it: from the nearer end, so that rounding never leaves the interval."""
    step = high - low
    return low + step * share if share < 0.5 else high - step * (1 - share)


def _order_statistics(pixels: Pixels, ranks: set[int]) -> dict[int, float]:
    """Rank, from 0 for the smallest sample -> the sample."""
    if pixels.dtype.kind == "u":
        counts = _count(pixels, lambda samples: samples)
        return {rank: float(np.searchsorted(counts.cumsum(), rank, side="right")) for rank in ranks}
    upper = _count(pixels, lambda samples: _ordered(samples) >> LOW_BITS).cumsum()
    return {rank: _within(pixels, int(np.searchsorted(upper, rank, side="right")), rank, upper) for rank in ranks}


def _within(pixels: Pixels, bits: int, rank: int, upper: NDArray[np.intp]) -> float:
    """The sample of that rank, whose upper bits are known."""

    def lower_bits(samples: Pixels) -> NDArray[np.uint32]:
        ordered = _ordered(samples)
        lower: NDArray[np.uint32] = ordered[ordered >> LOW_BITS == bits] & np.uint32(2**LOW_BITS - 1)
        return lower

    before = int(upper[bits - 1]) if bits else 0
    low = int(np.searchsorted(_count(pixels, lower_bits).cumsum(), rank - before, side="right"))
    ordered = np.array([bits << LOW_BITS | low], np.uint32)
    negative = ordered < 2**31
    return float(np.where(negative, ~ordered, ordered ^ np.uint32(2**31)).view(np.float32)[0])


def _ordered(samples: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Whole numbers in the same order: the sign bit turned, of negative numbers all bits (IEEE 754)."""
    bits = np.ascontiguousarray(samples).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits ^ np.uint32(2**31))


def _count(pixels: Pixels, key: Any) -> NDArray[np.intp]:
    """How often each key in 0..65535 occurs."""
    counts = np.zeros(2**16, np.intp)
    for rows in strips(pixels):
        counts += np.bincount(key(pixels[rows]).reshape(-1), minlength=2**16)
    return counts
