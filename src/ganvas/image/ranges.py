"""Value ranges of pictures: the only module that converts them; finite checks and percentiles of pixel values.

    value   levels in a file: 0..255, 0..65535, a float32's own range, or PictureSpec.value_range
    unit    [0, 1]: metrics, class activation maps, screens
    signed  [-1, 1]: network inputs and outputs

Values outside a value range land outside [0, 1] or [-1, 1] on the way in and are clipped on the way out. On the way
out whole-number types are rounded, never truncated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError, ImageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_CHANNELS",
    "NATURAL_RANGE",
    "DType",
    "PictureSpec",
    "Pixels",
    "all_finite",
    "from_signed",
    "from_unit",
    "make_signed",
    "percentiles",
    "round_to_dtype",
    "signed_from_unit",
    "signed_from_value",
    "strips",
    "to_signed",
    "to_unit",
    "unit_from_signed",
    "unused_range",
    "value_from_signed",
]

Pixels = NDArray[Any]
DType = Literal["uint8", "uint16", "float32"]
MAX_CHANNELS = 32
NATURAL_RANGE: dict[str, tuple[float, float]] = {
    "uint8": (0.0, 255.0),
    "uint16": (0.0, 65535.0),
    "float32": (0.0, 1.0),
}
FloatArray = TypeVar("FloatArray", NDArray[np.float32], "torch.Tensor")


@dataclass(frozen=True, kw_only=True)
class PictureSpec:
    """Type, channels and value range of a picture."""

    dtype: DType = "uint8"
    """The type of one sample."""
    channels: int = 3
    """Number of channels, 1 to 32, opacity not counted."""
    value_range: tuple[float, float] = (0.0, 0.0)
    """The values that become -1 and 1, for example (0, 4095) for 12 bits in 16; unset: the natural range of `dtype`."""

    def __post_init__(self) -> None:
        if self.value_range == (0.0, 0.0):
            object.__setattr__(self, "value_range", NATURAL_RANGE[self.dtype])
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ConfigError(f"channels {self.channels} must lie in 1..{MAX_CHANNELS}")
        if not (self.value_range[0] < self.value_range[1] and all(map(math.isfinite, self.value_range))):
            raise ConfigError(f"value_range {self.value_range} must be finite and in order")


def to_unit(pixels: Pixels, spec: PictureSpec | None = None) -> NDArray[np.float32]:
    """Convert pixels (any shape) to [0, 1]; without a spec by the natural range of their type."""
    low, high = _value_range(pixels, spec)
    values = pixels.astype(np.float32)
    values -= np.float32(low)
    values /= np.float32(high - low)
    return values


def from_unit(values: NDArray[np.floating[Any]], spec: PictureSpec) -> Pixels:
    """Convert values in [0, 1] (any shape) to the pixels of a spec, rounded and clipped.

    Raises:
        ImageError: a value is not finite.
    """
    low, high = spec.value_range
    scaled = values * np.float32(high - low)
    scaled += np.float32(low)
    return round_to_dtype(np.clip(scaled, low, high), spec.dtype)


def to_signed(pixels: Pixels, spec: PictureSpec | None = None) -> NDArray[np.float32]:
    """Convert pixels (any shape) to [-1, 1]; without a spec by the natural range of their type."""
    return signed_from_value(pixels.astype(np.float32), _value_range(pixels, spec))


def from_signed(values: NDArray[np.floating[Any]], spec: PictureSpec) -> Pixels:
    """Convert values in [-1, 1] (any shape) to the pixels of a spec, rounded and clipped.

    Raises:
        ImageError: a value is not finite.
    """
    low, high = spec.value_range
    scaled = value_from_signed(values.astype(np.float32), spec.value_range)
    return round_to_dtype(np.clip(scaled, low, high), spec.dtype)


def signed_from_value(values: FloatArray, value_range: tuple[float, float]) -> FloatArray:
    """Convert floats in a value range to [-1, 1]; array or tensor."""
    low, high = value_range
    return (values - low) * (2 / (high - low)) - 1


def make_signed(values: FloatArray, value_range: tuple[float, float]) -> None:
    """Convert floats in a value range to [-1, 1] in place, bit-identical to `signed_from_value`."""
    low, high = value_range
    if low:
        values -= low
    values *= 2 / (high - low)
    values -= 1


def value_from_signed(values: FloatArray, value_range: tuple[float, float]) -> FloatArray:
    """Convert floats in [-1, 1] to a value range; array or tensor, not rounded."""
    low, high = value_range
    return (values + 1) * ((high - low) / 2) + low


def unit_from_signed(values: FloatArray) -> FloatArray:
    """Convert floats in [-1, 1] to [0, 1]; array or tensor."""
    return (values + 1) * 0.5


def signed_from_unit(values: FloatArray) -> FloatArray:
    """Convert floats in [0, 1] to [-1, 1]; array or tensor."""
    return values * 2 - 1


def unused_range(highest: int) -> int | None:
    """Return the largest value of the 8, 10, 12 or 14 bits that 16-bit samples seem to have, or None for 16 bits.

    Args:
        highest: the largest sample of all pictures.
    """
    bits = next((bits for bits in (8, 10, 12, 14) if highest < 1 << bits), None)
    return None if bits is None or not highest else (1 << bits) - 1


def round_to_dtype(values: NDArray[np.floating[Any]], dtype: str) -> Pixels:
    """Round floats (halves to even) to a sample type, and clip them to the range of the type.

    Raises:
        ImageError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ImageError(None, "some values are NaN or infinite, so they have no level; look where they come from")
    if dtype == "float32":
        return values.astype(np.float32)
    low, high = NATURAL_RANGE[dtype]
    rounded: Pixels = np.clip(np.rint(values), low, high).astype(dtype)
    return rounded


def _value_range(pixels: Pixels, spec: PictureSpec | None) -> tuple[float, float]:
    return NATURAL_RANGE[pixels.dtype.name] if spec is None else spec.value_range


STRIP = 2**19
"""Pixel values in one strip."""
LOW_BITS = 16
"""Order statistics of 32-bit samples are found in two rounds: by the upper bits, then by these."""


def strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Return slices that cover all rows, each of at most STRIP pixel values (or one row)."""
    rows = max(1, STRIP // max(1, pixels[0].size))
    return (slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows))


def all_finite(pixels: Pixels) -> bool:
    """Return whether no sample is NaN or infinite."""
    return pixels.dtype.kind != "f" or all(np.isfinite(pixels[rows]).all() for rows in strips(pixels))


def percentiles(pixels: Pixels, shares: Sequence[float]) -> list[float]:
    """Return `np.percentile` of the pixel values as float64, bit-identical, without sorting a copy.

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
    """Interpolate as NumPy does: from the nearer end, so that rounding never leaves the interval."""
    step = high - low
    return low + step * share if share < 0.5 else high - step * (1 - share)


def _order_statistics(pixels: Pixels, ranks: set[int]) -> dict[int, float]:
    """Return rank (0 for the smallest) -> pixel value."""
    if pixels.dtype.kind == "u":
        counts = _count(pixels, lambda samples: samples)
        return {rank: float(np.searchsorted(counts.cumsum(), rank, side="right")) for rank in ranks}
    upper = _count(pixels, lambda samples: _ordered(samples) >> LOW_BITS).cumsum()
    return {rank: _within(pixels, int(np.searchsorted(upper, rank, side="right")), rank, upper) for rank in ranks}


def _within(pixels: Pixels, bits: int, rank: int, upper: NDArray[np.intp]) -> float:
    """Return the pixel value of a rank whose upper bits are known."""

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
    """Return integers in the same order: the sign bit inverted, for negative numbers all bits (IEEE 754)."""
    bits = np.ascontiguousarray(samples).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits ^ np.uint32(2**31))


def _count(pixels: Pixels, key: Any) -> NDArray[np.intp]:
    """Count each key in 0..65535."""
    counts = np.zeros(2**16, np.intp)
    for rows in strips(pixels):
        counts += np.bincount(key(pixels[rows]).reshape(-1), minlength=2**16)
    return counts
