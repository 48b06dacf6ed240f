"""Pictures in memory, boxes and resolutions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ImageError
from ganvas.image.ranges import MAX_CHANNELS, NATURAL_RANGE, DType, PictureSpec, Pixels, from_unit, strips, to_unit

__all__ = ["MAX_CHANNELS", "NATURAL_RANGE", "Box", "DType", "Picture", "PictureSpec", "Pixels", "Resolution"]


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length, as TIFF files state them.

    Attributes:
        x: pixels per unit along a row.
        y: pixels per unit along a column.
        unit: inch or centimeter.
    """

    x: Fraction
    y: Fraction
    unit: Literal["inch", "centimeter"]

    def scaled(self, factor: int) -> Resolution:
        """Return the resolution of a picture enlarged by a factor."""
        return Resolution(self.x * factor, self.y * factor, self.unit)

    def turned(self) -> Resolution:
        """Return the resolution with rows and columns exchanged."""
        return Resolution(self.y, self.x, self.unit)


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels with opacity, source, notes and resolution.

    Attributes:
        pixels: (H, W, C) uint8, uint16 or float32 (float32 in [0, 1] unless a value range is given).
        has_alpha: the last channel is opacity.
        source: the file it came from, if any.
        notes: notes on the reading, one sentence each.
        resolution: the size of its pixels, where a TIFF file states it.
    """

    pixels: Pixels
    has_alpha: bool = False
    source: Path | None = None
    notes: tuple[str, ...] = ()
    resolution: Resolution | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype.name
        if len(shape) != 3 or 0 in shape:
            raise ImageError(self.source, f"expected pixels (H, W, C), none of them 0, got {shape}")
        if shape[2] == self.has_alpha:
            raise ImageError(self.source, "opacity alone, no color; give at least one more channel")
        if shape[2] > MAX_CHANNELS + self.has_alpha:
            raise ImageError(self.source, f"{shape[2]} channels, more than {MAX_CHANNELS}; channels come last")
        if dtype not in NATURAL_RANGE:
            raise ImageError(self.source, f"{dtype} samples; convert to uint8, uint16 or float32")

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.pixels.shape[1])

    @property
    def color(self) -> Pixels:
        """Return the pixels without opacity, (H, W, C)."""
        return self.pixels[:, :, : self.pixels.shape[2] - self.has_alpha]

    @property
    def alpha(self) -> Pixels | None:
        """Return the opacity, (H, W, 1), or None."""
        return self.pixels[:, :, -1:] if self.has_alpha else None

    @property
    def spec(self) -> PictureSpec:
        """Return type and channels, with the natural range of the type."""
        return PictureSpec(dtype=cast("DType", self.pixels.dtype.name), channels=self.color.shape[2])

    def as_rgb8(self) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8, for classifiers and screens: gray repeated, the first three of many, no opacity."""
        three = self.color[:, :, :3] if self.color.shape[2] >= 3 else self.color[:, :, :1]
        if three.dtype == np.uint8:
            return np.ascontiguousarray(np.broadcast_to(three, (*three.shape[:2], 3)))
        screen = np.empty((*three.shape[:2], 3), np.uint8)
        for rows in strips(three):
            screen[rows] = from_unit(to_unit(three[rows]), PictureSpec())
        return screen


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: columns left <= x < right, rows top <= y < bottom; may lie partly off the picture."""

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        if self.right <= self.left or self.bottom <= self.top:
            raise ImageError(
                None, f"box {self.left, self.top, self.right, self.bottom} is empty; give left < right, top < bottom"
            )

    def clip(self, height: int, width: int) -> Box | None:
        """Clip to a picture of the given size; return None if nothing is left."""
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.right, width), min(self.bottom, height)
        return Box(left, top, right, bottom) if left < right and top < bottom else None

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return a mask (H, W) bool, True inside."""
        inside = np.zeros((height, width), dtype=bool)
        if clipped := self.clip(height, width):
            inside[clipped.top : clipped.bottom, clipped.left : clipped.right] = True
        return inside
