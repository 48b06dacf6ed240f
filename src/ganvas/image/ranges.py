"""Value ranges of pictures and their conversion, finiteness checks and percentiles of pixel values.

    value   levels in a file: 0..255, 0..65535, a float32's own range, or PictureSpec.value_range
    unit    [0, 1]: metrics, class activation maps, screens
    signed  [-1, 1]: network inputs and outputs

No other module converts ranges. Values outside a value range are outside [0, 1] or [-1, 1] after the conversion to unit
or signed and are clipped by the conversion back, which rounds integer types and never truncates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    "convert_samples",
    "from_signed",
    "from_unit",
    "make_signed",
    "round_to_dtype",
    "signed_from_unit",
    "signed_from_value",
    "strips",
    "tail_percentiles",
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
Transfer = Literal["pq", "hlg"]
FloatArray = TypeVar("FloatArray", NDArray[np.float32], "torch.Tensor")


@dataclass(frozen=True, kw_only=True)
class PictureSpec:
    """Type, channels and value range of a picture."""

    dtype: DType = "uint8"
    """Data type of a pixel value."""
    channels: int = 3
    """Number of channels without opacity, 1 to 32."""
    value_range: tuple[float, float] = (0.0, 0.0)
    """Values that map to -1 and 1, for example (0, 4095) for 12 bits in 16; unset: the natural range of `dtype`."""
    transfer: Transfer | None = None
    """Transfer function of film frames in high dynamic range: pq (SMPTE ST 2084) or hlg (ITU-R BT.2100); None for
    standard range."""

    def __post_init__(self) -> None:
        if self.value_range == (0.0, 0.0):
            object.__setattr__(self, "value_range", NATURAL_RANGE[self.dtype])
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ConfigError(f"channels {self.channels} must lie in 1..{MAX_CHANNELS}")
        if not (self.value_range[0] < self.value_range[1] and all(map(math.isfinite, self.value_range))):
            raise ConfigError(f"value_range {self.value_range} must be finite and in order")


def describe_transfer(transfer: Transfer | None) -> str:
    """Describe the dynamic range of film frames."""
    return "in standard range" if transfer is None else f"in high dynamic range ({transfer.upper()})"


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
    """Return the largest value of 8, 10, 12 or 14 bits if 16-bit values fit into that many bits, else None.

    Args:
        highest: largest pixel value of all pictures.
    """
    bits = next((bits for bits in (8, 10, 12, 14) if highest < 1 << bits), None)
    return None if bits is None or not highest else (1 << bits) - 1


def round_to_dtype(values: NDArray[np.floating[Any]], dtype: str) -> Pixels:
    """Round floats (halves to even) to a data type, and clip them to the range of the type.

    Raises:
        ImageError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ImageError(None, "some values are NaN or infinite, and cannot be converted to levels; check their source")
    if dtype == "float32":
        return values.astype(np.float32)
    low, high = NATURAL_RANGE[dtype]
    rounded: Pixels = np.clip(np.rint(values), low, high).astype(dtype)
    return rounded


def _value_range(pixels: Pixels, spec: PictureSpec | None) -> tuple[float, float]:
    return NATURAL_RANGE[pixels.dtype.name] if spec is None else spec.value_range


STRIP = 2**19
"""Largest number of pixel values in a strip."""


def strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Return slices that cover all rows, each of at most STRIP pixel values (or one row)."""
    rows = max(1, STRIP // max(1, pixels[0].size))
    return (slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows))


def all_finite(pixels: Pixels) -> bool:
    """Return whether no pixel value is NaN or infinite."""
    return pixels.dtype.kind != "f" or all(np.isfinite(pixels[rows]).all() for rows in strips(pixels))


def tail_percentiles(pixels: Pixels, share: float) -> tuple[float, float]:
    """Return `np.percentile` of the values at `share` and at 100 - `share` as float64, bit-identical.

    Strip by strip, only the values in the tails are kept: 1 % of the picture at a share of 0.5; of uint8 only the
    number of each level. `np.percentile` itself copies the picture, up to 1.6 GB, and takes three times as long.

    Args:
        pixels: (H, W, C) uint8, uint16 or finite float32.
        share: in [0, 50].
    """
    last = pixels.size - 1
    places = last * (share / 100), last * ((100 - share) / 100)
    if pixels.dtype == np.uint8:
        counts = sum(np.bincount(pixels[rows].reshape(-1), minlength=256) for rows in strips(pixels))
        up_to = np.cumsum(counts)
        first, second = (_in_histogram(up_to, place) for place in places)
        return first, second
    num_low, num_high = min(int(places[0]) + 2, pixels.size), pixels.size - int(places[1])
    low = high = np.empty(0, pixels.dtype)
    for rows in strips(pixels):
        strip = pixels[rows].reshape(-1)
        low, high = np.append(low, strip), np.append(high, strip)
        if len(low) > num_low:
            low = np.partition(low, num_low - 1)[:num_low]
        if len(high) > num_high:
            high = np.partition(high, -num_high)[-num_high:]
    low, high = np.sort(low), np.sort(high)
    return _at(low, places[0]), _at(high, places[1] - (pixels.size - num_high))


def _in_histogram(up_to: NDArray[np.int64], place: float) -> float:
    """Interpolate at a fractional index of sorted levels, of which `up_to[level]` are at most `level`."""
    rank = int(place)
    low, high = np.searchsorted(up_to, [rank, min(rank + 1, int(up_to[-1]) - 1)], side="right")
    return _between(float(low), float(high), place - rank)


def _at(values: Pixels, place: float) -> float:
    """Interpolate sorted values at a fractional index, as NumPy does."""
    rank = int(place)
    return _between(float(values[rank]), float(values[min(rank + 1, len(values) - 1)]), place - rank)


def _between(low: float, high: float, share: float) -> float:
    """Interpolate as NumPy does: from the nearer end, so that rounding never leaves the interval."""
    step = high - low
    return low + step * share if share < 0.5 else high - step * (1 - share)


def convert_samples(pixels: Pixels, dtype: DType) -> Pixels:
    """Convert pixel values to another type, full range to full range."""
    if pixels.dtype.name == dtype:
        return pixels
    return from_unit(to_unit(pixels), PictureSpec(dtype=dtype))
