"""Pictures in memory, boxes, resolutions, and grids with captions."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ganvas.errors import ImageError
from ganvas.image.ranges import MAX_CHANNELS, NATURAL_RANGE, DType, PictureSpec, Pixels, from_unit, strips, to_unit

__all__ = [
    "MAX_CHANNELS",
    "NATURAL_RANGE",
    "Box",
    "DType",
    "Picture",
    "PictureSpec",
    "Pixels",
    "Resolution",
    "all_channels",
    "make_grid",
]


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length, as declared in TIFF files.

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
        """Return the resolution with rows and columns swapped."""
        return Resolution(self.y, self.x, self.unit)


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels with opacity, source, notes and resolution.

    Attributes:
        pixels: (H, W, C) uint8, uint16 or float32 (float32 in [0, 1] unless a value range is given).
        has_alpha: the last channel is opacity.
        source: the file it came from, if any.
        notes: notes on the reading, one sentence each.
        resolution: physical resolution, if declared by a TIFF file.
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
            raise ImageError(self.source, "opacity without color; add at least one channel")
        if shape[2] > MAX_CHANNELS + self.has_alpha:
            raise ImageError(
                self.source, f"{shape[2]} channels, more than {MAX_CHANNELS}; the channels are the last dimension"
            )
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
    """Rectangle in pixels, columns left <= x < right and rows top <= y < bottom; may be partly outside the picture."""

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        if self.right <= self.left or self.bottom <= self.top:
            raise ImageError(
                None,
                f"box {self.left, self.top, self.right, self.bottom} is empty; expected left < right and top < bottom",
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


Cell = Picture | Pixels | None
RGB = NDArray[np.uint8]
GAP = 4
"""Gap between cells in pixels."""
CHANNEL_GAP = 1
"""Gap between the channels of one picture in pixels."""
PAPER, INK = (255, 255, 255), (32, 32, 32)


def make_grid(
    rows: Sequence[Sequence[Cell]],
    *,
    captions: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int = 1,
) -> RGB:
    """Arrange pictures in a grid on white, each row as high and each column as wide as its largest picture.

    Args:
        rows: rows of cells: a picture, a uint8 array (H, W) or (H, W, C), or None for an empty cell; sizes may differ.
        captions: one per column, drawn above it.
        row_labels: one per row, drawn on its left.
        scale: each pixel becomes scale x scale pixels.

    Returns:
        (H, W, 3) uint8.
    """
    cells = [[None if cell is None else _as_rgb8(cell, scale) for cell in row] for row in rows]
    if not any(cell is not None for row in cells for cell in row):
        raise ImageError(None, "a grid needs at least one picture")
    columns = list(zip_longest(*cells))
    heights = [max((cell.shape[0] for cell in row if cell is not None), default=0) for row in cells]
    widths = [max((cell.shape[1] for cell in column if cell is not None), default=0) for column in columns]
    tops = _starts(heights, _line_height() + GAP if captions else 0)
    lefts = _starts(widths, _label_width(row_labels))
    sheet = Image.new("RGB", (lefts[-1] + widths[-1], tops[-1] + heights[-1]), PAPER)
    for row, top in zip(cells, tops, strict=True):
        for cell, left in zip(row, lefts, strict=False):
            if cell is not None:
                sheet.paste(Image.fromarray(cell), (left, top))
    pen = ImageDraw.Draw(sheet)
    for caption, left, width in zip(captions or (), lefts, widths, strict=False):
        _write_line(pen, caption, left, 0, width)
    for label, top, height in zip(row_labels or (), tops, heights, strict=False):
        _write_line(pen, label, 0, top + (height - _line_height()) // 2, lefts[0])
    return np.array(sheet)


def all_channels(picture: Picture) -> RGB:
    """Return a picture for display: grayscale and RGB unchanged, other channels in gray side by side.

    Returns:
        (H', W', 3) uint8, without opacity; C channels other than 1 or 3 fill ceil(sqrt(C)) columns in order.
    """
    count = picture.spec.channels
    if count in (1, 3):
        return picture.as_rgb8()
    planes = [Picture(picture.color[:, :, channel, None]).as_rgb8() for channel in range(count)]
    columns = math.ceil(math.sqrt(count))
    down, across = picture.height + CHANNEL_GAP, picture.width + CHANNEL_GAP
    sheet = np.full((-(-count // columns) * down, columns * across, 3), PAPER, np.uint8)
    for channel, plane in enumerate(planes):
        top, left = channel // columns * down, channel % columns * across
        sheet[top : top + picture.height, left : left + picture.width] = plane
    return sheet[:-CHANNEL_GAP, :-CHANNEL_GAP]


def _starts(sizes: Sequence[int], first: int) -> list[int]:
    """Return the start of each row or column."""
    return [first + sum(sizes[:index]) + GAP * index for index in range(len(sizes))]


def _as_rgb8(cell: Picture | Pixels, scale: int) -> RGB:
    if not isinstance(cell, Picture):
        cell = Picture(cell if cell.ndim == 3 else cell[:, :, None])
    return all_channels(cell).repeat(scale, axis=0).repeat(scale, axis=1)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default()


def _line_height() -> int:
    return int(_font().getbbox("Ag")[3]) + 1


def _label_width(labels: Sequence[str] | None) -> int:
    return max((int(_font().getlength(_plain(label))) for label in labels), default=0) + 2 * GAP if labels else 0


def _write_line(pen: ImageDraw.ImageDraw, text: str, x: int, y: int, width: int) -> None:
    """Draw one line of text, truncated with dots to the given width."""
    font, shown = _font(), _plain(text)
    kept = len(shown)
    while kept > 1 and font.getlength(shown) > width:
        kept -= 1
        shown = _plain(text)[:kept] + "..."
    pen.text((x, y), shown, fill=INK, font=font)


def _plain(text: str) -> str:
    """Reduce text to ASCII without accents, the characters of Pillow's built-in font."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace").decode()
