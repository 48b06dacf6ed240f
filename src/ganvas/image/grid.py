"""Pictures side by side, with captions: samples during training, overviews in reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ganvas.errors import ImageError
from ganvas.image.picture import Picture, Pixels

__all__ = ["make_grid"]

Cell = Picture | Pixels | None
RGB = NDArray[np.uint8]
GAP = 4
"""Pixels between cells."""
PAPER, INK = (255, 255, 255), (32, 32, 32)


def make_grid(
    rows: Sequence[Sequence[Cell]],
    *,
    captions: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int = 1,
) -> RGB:
    """Lay pictures out in rows and columns on white.

    Args:
        rows: of cells: a picture, a uint8 array (H, W), (H, W, 1) or (H, W, 3), or None for an empty place; sizes
            may differ.
        captions: one a column, drawn above it.
        row_labels: one a row, drawn left of it.
        scale: each pixel becomes scale x scale pixels.

    Returns:
        (H, W, 3) uint8.
    """
    cells = [[None if cell is None else _as_rgb8(cell, scale) for cell in row] for row in rows]
    shown = [cell for row in cells for cell in row if cell is not None]
    if not shown:
        raise ImageError(None, "a grid needs at least one picture")
    num_columns = max(len(row) for row in cells)
    height, width = max(cell.shape[0] for cell in shown), max(cell.shape[1] for cell in shown)
    left, top = _label_width(row_labels), _line_height() + GAP if captions else 0
    size = (left + num_columns * (width + GAP) - GAP, top + len(cells) * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, PAPER)
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            if cell is not None:
                sheet.paste(Image.fromarray(cell), (left + x * (width + GAP), top + y * (height + GAP)))
    pen = ImageDraw.Draw(sheet)
    for x, caption in enumerate(captions or ()):
        _write_in(pen, caption, left + x * (width + GAP), 0, width)
    for y, label in enumerate(row_labels or ()):
        _write_in(pen, label, 0, top + y * (height + GAP) + (height - _line_height()) // 2, left)
    return np.array(sheet)


def _as_rgb8(cell: Picture | Pixels, scale: int) -> RGB:
    if not isinstance(cell, Picture):
        cell = Picture(cell if cell.ndim == 3 else cell[:, :, None])
    return cell.as_rgb8().repeat(scale, axis=0).repeat(scale, axis=1)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default()


def _line_height() -> int:
    return int(_font().getbbox("Ag")[3]) + 1


def _label_width(labels: Sequence[str] | None) -> int:
    return max((int(_font().getlength(label)) for label in labels), default=0) + 2 * GAP if labels else 0


def _write_in(pen: ImageDraw.ImageDraw, text: str, x: int, y: int, width: int) -> None:
    """One line of text, shortened with an ellipsis to the width it has."""
    font = _font()
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    pen.text((x, y), text, fill=INK, font=font)
