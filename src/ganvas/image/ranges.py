"""The one place that converts ranges.

    value   what a file holds: 0..255, 0..65535, a float32's own range, or PictureSpec.value_range
    unit    [0, 1]: measures, maps, screens
    signed  [-1, 1]: what networks see

Values outside a value range land outside [0, 1] or [-1, 1] on the way in and are clipped on the way out. On the way
out whole-number types are rounded, never truncated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ImageError
from ganvas.image.picture import NATURAL_RANGE, PictureSpec, Pixels

if TYPE_CHECKING:
    import torch

__all__ = [
    "from_signed",
    "from_unit",
    "make_signed",
    "round_to_dtype",
    "signed_from_unit",
    "signed_from_value",
    "to_signed",
    "to_unit",
    "unit_from_signed",
    "unused_range",
    "value_from_signed",
]

FloatArray = TypeVar("FloatArray", NDArray[np.float32], "torch.Tensor")


def to_unit(pixels: Pixels, spec: PictureSpec | None = None) -> NDArray[np.float32]:
    """Pixels (any shape) to [0, 1]; without a spec by the natural range of their type."""
    low, high = _value_range(pixels, spec)
    values = pixels.astype(np.float32)
    values -= np.float32(low)
    values /= np.float32(high - low)
    return values


def from_unit(values: NDArray[np.floating[Any]], spec: PictureSpec) -> Pixels:
    """Values in [0, 1] (any shape) to the pixels of a spec, rounded and clipped.

    Raises:
        ImageError: a value is not finite.
    """
    low, high = spec.value_range
    scaled = values * np.float32(high - low)
    scaled += np.float32(low)
    return round_to_dtype(np.clip(scaled, low, high), spec.dtype)


def to_signed(pixels: Pixels, spec: PictureSpec | None = None) -> NDArray[np.float32]:
    """Pixels (any shape) to [-1, 1]; without a spec by the natural range of their type."""
    return signed_from_value(pixels.astype(np.float32), _value_range(pixels, spec))


def from_signed(values: NDArray[np.floating[Any]], spec: PictureSpec) -> Pixels:
    """Values in [-1, 1] (any shape) to the pixels of a spec, rounded and clipped.

    Raises:
        ImageError: a value is not finite.
    """
    low, high = spec.value_range
    scaled = value_from_signed(values.astype(np.float32), spec.value_range)
    return round_to_dtype(np.clip(scaled, low, high), spec.dtype)


def signed_from_value(values: FloatArray, value_range: tuple[float, float]) -> FloatArray:
    """Floats in a value range to [-1, 1]; array or tensor."""
    low, high = value_range
    return (values - low) * (2 / (high - low)) - 1


def make_signed(values: FloatArray, value_range: tuple[float, float]) -> None:
    """`signed_from_value` in place, to the bit: floats in a value range become [-1, 1]."""
    low, high = value_range
    if low:
        values -= low
    values *= 2 / (high - low)
    values -= 1


def value_from_signed(values: FloatArray, value_range: tuple[float, float]) -> FloatArray:
    """Floats in [-1, 1] to a value range; array or tensor, not rounded."""
    low, high = value_range
    return (values + 1) * ((high - low) / 2) + low


def unit_from_signed(values: FloatArray) -> FloatArray:
    """Floats in [-1, 1] to [0, 1]; array or tensor."""
    return (values + 1) * 0.5


def signed_from_unit(values: FloatArray) -> FloatArray:
    """Floats in [0, 1] to [-1, 1]; array or tensor."""
    return values * 2 - 1


def unused_range(highest: int) -> int | None:
    """Return the largest value of the 8, 10, 12 or 14 bits that 16-bit samples seem to have, or None for 16 bits.

    Args:
        highest: the largest sample of all pictures.
    """
    bits = next((bits for bits in (8, 10, 12, 14) if highest < 1 << bits), None)
    return None if bits is None or not highest else (1 << bits) - 1


def round_to_dtype(values: NDArray[np.floating[Any]], dtype: str) -> Pixels:
    """Floats already in the units of a file to its type: rounded (halves to even) and clipped to what the type holds.

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
