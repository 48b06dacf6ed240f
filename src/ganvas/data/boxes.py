"""Regions that a person gave: a file of boxes for many pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ganvas.errors import ImageError, InputError
from ganvas.image.names import match_names
from ganvas.image.picture import Box
from ganvas.strict_json import parse_json, read_text

__all__ = ["boxes_by_picture", "read_boxes"]

BoxTable = dict[str, list[Box]]
SHAPE = 'expected JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV lines name,left,top,right,bottom'

SLACK = 0.5
"""Shares of the picture by which a detector's boxes may stick out of it."""


def read_boxes(path: Path) -> BoxTable:
    """Boxes by picture name.

    JSON: {"name.jpg": [[left, top, right, bottom], ...]}, an empty list where there is nothing to cover.
    CSV: a line name,left,top,right,bottom a box, a line with the name alone where there is nothing; a header
    is skipped.
    Pixels of the upright picture (EXIF orientation applied), from its top left corner; fractions grow outwards;
    a box may lie partly off the picture. A name that comes again adds its boxes.

    Raises:
        InputError: the file cannot be read, or an entry is not a box in pixels (all of it lies in [0, 1], or its right
            or bottom edge comes first); names the entry.
    """
    try:
        text = read_text(path, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {SHAPE}") from error
    return _from_csv(path, text) if path.suffix.lower() == ".csv" else _from_json(path, text)


def boxes_by_picture(path: Path, names: Iterable[str]) -> BoxTable:
    """Read boxes as `read_boxes`, under the names that the pictures have: Unicode normalization does not matter."""
    table = read_boxes(path)
    meant = match_names(table, names)
    found: BoxTable = {}
    for name, boxes in table.items():
        found.setdefault(meant[name], []).extend(boxes)
    return found


def _from_json(path: Path, text: str) -> BoxTable:
    try:
        pairs = parse_json(text, pairs=tuple)  # a dict would keep only the last of a name's entries
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); {SHAPE}") from error
    if not isinstance(pairs, tuple) or not all(isinstance(rows, list) for _, rows in pairs):
        raise InputError(f"{path}: {SHAPE}")
    table: BoxTable = {}
    for name, rows in pairs:
        table.setdefault(name, []).extend(_box(path, name, row) for row in rows)
    return table


def _from_csv(path: Path, text: str) -> BoxTable:
    table: BoxTable = {}
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:  # such as a cell of more than 131,072 characters
        raise InputError(f"{path}: is not CSV ({error}); {SHAPE}") from error
    for index, row in enumerate(rows):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (index == 0 and cells[1:3] == ["left", "top"]):
            continue
        boxes = table.setdefault(cells[0], [])
        if any(cells[1:]):
            boxes.append(_box(path, cells[0], cells[1:]))
    return table


def _box(path: Path, name: str, row: Any) -> Box:
    try:
        left, top, right, bottom = _numbers(row)
        _require_pixels(left, top, right, bottom)
        return Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    except (TypeError, ValueError, OverflowError, ImageError) as error:
        raise InputError(f"{path}: {name[:200]}: {str(row)[:200]} is not a box ({error}); {SHAPE}") from error


def _numbers(row: Any) -> list[float]:
    if not isinstance(row, list) or len(row) != 4 or any(isinstance(cell, bool) for cell in row):
        raise ValueError("four numbers are needed")
    return [float(cell) for cell in row]


def _require_pixels(left: float, top: float, right: float, bottom: float) -> None:
    """Refuse shares of the picture, and sizes in the place of edges."""
    if all(-SLACK <= edge <= 1 + SLACK for edge in (left, top, right, bottom)):
        raise ValueError("all of it lies in [0, 1], a share of the picture; boxes are in pixels: multiply by its size")
    if right < left or bottom < top:
        raise ValueError(
            "an edge on the right or bottom comes before its opposite; give left, top, right, bottom in this order"
            " (of left, top, width, height add the first two to the last two)"
        )
