"""Preprocessing of pictures of any size for classifiers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box
from ganvas.localization.evidence import Floats

Bytes = NDArray[np.uint8]
STRIDE = 32
LONGEST_SIDE = 1024
MOST_PIXELS = 4096
"""Of a network's input, a side."""
STRIP = 256
"""Rows that are narrowed at once: Pillow copies what it resizes, four bytes a pixel."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Center crop for the evidence of record, whole picture for the dense evidence; then mean, deviation and order."""

    size: int = 224
    """Height and width of the network's input, in pixels."""
    crop_share: float = 0.875
    """The center crop's side as a share of the picture's shorter side."""
    dense_size: int = 384
    """Shorter side of the dense input, in pixels, before it is rounded to a multiple of 32."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from R, G, B in 0..255."""
    deviation: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """R, G, B are divided by it after that."""
    blue_first: bool = False
    """The network takes BGR."""
    bicubic: bool = False
    """Bicubic instead of bilinear resizing."""

    def __post_init__(self) -> None:
        if not (1 <= self.size <= MOST_PIXELS and 1 <= self.dense_size <= MOST_PIXELS):
            raise ConfigError(f"size {self.size} and dense_size {self.dense_size} must lie in 1..{MOST_PIXELS}")
        if not 0 < self.crop_share <= 1:
            raise ConfigError(f"crop_share {self.crop_share} must lie in (0, 1]")
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or 0 in self.deviation:
            raise ConfigError(f"mean {self.mean} and deviation {self.deviation} must be finite, no deviation 0")

    def center(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the center crop, (size, size, 3) normalized, and its box in the picture. rgb: (H, W, 3)."""
        extent = center_square(*rgb.shape[:2], share=self.crop_share)
        return self.normalize(resize(rgb, self.size, self.size, part=extent, bicubic=self.bicubic)), extent

    def whole(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the dense input, (h, w, 3) normalized, and the whole picture's box. rgb: (H, W, 3)."""
        height, width = rgb.shape[:2]
        dense = resize(rgb, *dense_shape(height, width, shorter=self.dense_size), bicubic=self.bicubic)
        return self.normalize(dense), Box(0, 0, width, height)

    def squeezed(self, rgb: Bytes) -> tuple[Floats, Box]:
        """Return the whole picture squeezed to (size, size, 3), normalized, for networks of one size, and its box.

        rgb: (H, W, 3).
        """
        height, width = rgb.shape[:2]
        square = resize(rgb, self.size, self.size, bicubic=self.bicubic)
        return self.normalize(square), Box(0, 0, width, height)

    def normalize(self, rgb: Bytes) -> Floats:
        """Return normalized (H, W, 3) float32 in the network's channel order. rgb: (H, W, 3) in 0..255."""
        values = (rgb - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        return np.ascontiguousarray(values[:, :, ::-1] if self.blue_first else values, dtype=np.float32)


def require_rgb(rgb: NDArray[Any]) -> None:
    """Raise ImageError unless rgb is a nonempty (H, W, 3) uint8 array."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ImageError(
            None, f"a classifier takes (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}; use Picture.as_rgb8()"
        )


def center_square(height: int, width: int, *, share: float) -> Box:
    """Return the center square whose side is `share` of the shorter side, at least one pixel."""
    side = max(round(share * min(height, width)), 1)
    left, top = (width - side) // 2, (height - side) // 2
    return Box(left, top, left + side, top + side)


def dense_shape(height: int, width: int, *, shorter: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return height and width, multiples of 32 nearest the aspect ratio, the longer side at most `longest`."""
    scale = min(shorter / min(height, width), longest / max(height, width))
    return max(round(height * scale / STRIDE), 1) * STRIDE, max(round(width * scale / STRIDE), 1) * STRIDE


def resize(rgb: Bytes, height: int, width: int, *, part: Box | None = None, bicubic: bool = False) -> Bytes:
    """Return (height, width, 3) uint8, antialiased, of the whole picture or a `part` of it. rgb: (H, W, 3).

    Across, strip by strip, then down: as Pillow before 13, which goes the cheaper of the two ways first.
    """
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    part = part or Box(0, 0, rgb.shape[1], rgb.shape[0])
    narrow = np.empty((len(rgb), width, 3), np.uint8)
    for top in range(0, len(rgb), STRIP):
        strip = rgb[top : top + STRIP]
        box = part.left, 0, part.right, len(strip)
        narrow[top : top + STRIP] = np.asarray(Image.fromarray(strip).resize((width, len(strip)), how, box=box))
    down = Image.fromarray(narrow).resize((width, height), how, box=(0, part.top, width, part.bottom))
    return np.asarray(down)
