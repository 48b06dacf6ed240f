"""Preview grids of pictures with captions, for training and reports."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ganvas.errors import ImageError
from ganvas.image.picture import Picture, Pixels

__all__ = ["all_channels", "make_grid"]

Cell = Picture | Pixels | None
RGB = NDArray[np.uint8]
GAP = 4
"""Pixels between cells."""
CHANNEL_GAP = 1
"""Pixels between the channels of one picture."""
PAPER, INK = (255, 255, 255), (32, 32, 32)


def make_grid(
    rows: Sequence[Sequence[Cell]],
    *,
    captions: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int = 1,
) -> RGB:
    """Lay pictures out in rows and columns on white, each row as high and each column as wide as its largest picture.

    Args:
        rows: of cells: a picture, a uint8 array (H, W) or (H, W, C), or None for an empty place; sizes may differ.
        captions: one a column, drawn above it.
        row_labels: one a row, drawn left of it.
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
    """Return a picture for the screen: grayscale and RGB as they are, other channels in gray beside each other.

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
    """Draw one line of text, shortened with dots to the given width."""
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
