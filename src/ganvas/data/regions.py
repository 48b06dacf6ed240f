"""Regions to degrade or cover: whole pictures, class activation maps, boxes of a JSON or CSV file, or masks."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.bulk.journal import hash_files
from ganvas.data.config import PrepareConfig
from ganvas.data.layouts import some_names
from ganvas.errors import DataError, ImageError, InputError
from ganvas.filesystem.paths import match_names
from ganvas.image.cover import MaskFolder, path_stem, read_levels
from ganvas.image.picture import Box, Picture
from ganvas.serialization import parse_json, read_text

__all__ = [
    "RegionFinder",
    "UserRegions",
    "boxes_by_picture",
    "boxes_on",
    "read_boxes",
    "read_user_regions",
    "region_finder",
]

BoxTable = dict[str, list[Box]]
SHAPE = 'expected JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV lines name,left,top,right,bottom'

SLACK = 0.5
"""Fraction of the picture by which a detector's boxes may extend beyond it."""


def read_boxes(path: Path) -> BoxTable:
    """Return boxes by picture name.

    JSON: {"name.jpg": [[left, top, right, bottom], ...]}, an empty list if there is nothing to cover.
    CSV: one line name,left,top,right,bottom for each box, a line with the name alone if there is nothing; a header
    is skipped.
    Coordinates are pixels of the upright picture (EXIF orientation applied), from its top left corner; fractions are
    rounded outward; a box may lie partly outside the picture. A repeated name adds its boxes.

    Raises:
        InputError: the file cannot be read, or an entry is not a box in pixels (all values are in [0, 1], or left and
            right or top and bottom are swapped); the message names the entry.
    """
    try:
        text = read_text(path, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {SHAPE}") from error
    return _from_csv(path, text) if path.suffix.lower() == ".csv" else _from_json(path, text)


def boxes_by_picture(path: Path, names: Iterable[str]) -> BoxTable:
    """Read boxes as `read_boxes`, keyed by the names of the pictures; Unicode normalization does not matter."""
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
        raise ValueError("expected four numbers")
    return [float(cell) for cell in row]


def _require_pixels(left: float, top: float, right: float, bottom: float) -> None:
    """Raise ValueError for relative coordinates, and for width and height in place of edges."""
    if all(-SLACK <= edge <= 1 + SLACK for edge in (left, top, right, bottom)):
        raise ValueError(
            "all values are in [0, 1]; boxes are in pixels: multiply relative coordinates by the size of the picture"
        )
    if right < left or bottom < top:
        raise ValueError(
            "the right or bottom edge comes before the left or top edge; expected left, top, right, bottom (for left, "
            "top, width, height add the first two numbers to the last two)"
        )


OVERHANG = 0.1
"""Fraction of a side by which a box may extend beyond the picture without being a likely mistake."""

RegionFinder = Callable[[Picture, str], list[Box]]
"""Function from picture and file name to boxes inside it; none if there is nothing to degrade."""


def region_finder(config: PrepareConfig, names: Set[str]) -> RegionFinder:
    """Return the region finder of a configuration.

    Args:
        config: `where` and its options.
        names: names of the files, as in a boxes file.

    Raises:
        DataError: the boxes file names missing pictures.
        ConfigError: no such classifier or class.
        WeightsError: the classifier's weights are missing.
    """
    if config.where == "everywhere":
        return lambda picture, _name: [Box(0, 0, picture.width, picture.height)]
    return _from_classifier(config) if config.where == "classifier" else _from_file(config, names)


def boxes_on(picture: Picture, boxes: list[Box]) -> list[Box]:
    """Clip boxes to a picture.

    Raises:
        ImageError: a box lies wholly outside, or would fit with its axes swapped.
    """
    clipped = []
    for box in boxes:
        if _is_turned(picture, box):
            size = f"{picture.width} x {picture.height}"
            problem = f"{box} exceeds the picture of {size} pixels, but would fit with rows and columns swapped"
            raise ImageError(picture.source, f"{problem}; expected left, top, right, bottom of the upright picture")
        if (inside := box.clip(picture.height, picture.width)) is None:
            size = f"{picture.width} x {picture.height}"
            raise ImageError(picture.source, f"{box} is outside the picture of {size} pixels; correct the boxes")
        clipped.append(inside)
    return clipped


def _is_turned(picture: Picture, box: Box) -> bool:
    """Return whether a box extends far beyond the picture, but is inside with x and y swapped."""
    height, width = picture.height, picture.width
    far = box.right > (1 + OVERHANG) * width or box.bottom > (1 + OVERHANG) * height
    fits = min(box.left, box.top) >= 0 and box.bottom <= width and box.right <= height
    return far and fits


def _from_file(config: PrepareConfig, names: Set[str]) -> RegionFinder:
    assert config.boxes is not None, config
    table = boxes_by_picture(config.boxes, names)
    if unknown := sorted(table.keys() - names):
        raise DataError(f"{config.boxes}: {len(unknown)} names match no picture: {some_names(unknown)}")
    return lambda picture, name: boxes_on(picture, table.get(name, []))


def _from_classifier(config: PrepareConfig) -> RegionFinder:
    from ganvas.localization import class_index, load_classifier, locate  # slow to import

    classifier = load_classifier(config.classifier)
    if config.class_name is not None:
        class_index(classifier, config.class_name)  # report a wrong name before any picture is read

    def find(picture: Picture, _name: str) -> list[Box]:
        finding = locate(picture, classifier, class_name=config.class_name)
        seen = config.class_name is None or finding.score >= config.least_score
        return boxes_on(picture, list(finding.boxes)) if seen else []

    return find


Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class UserRegions:
    """Regions specified by the user.

    Attributes:
        find: a picture and its name -> (H, W) bool, or None if the user specified no region for it.
        identity: a picture's name -> a string that identifies the user's region.
    """

    find: Callable[[Picture, str], Mask | None]
    identity: Callable[[str], str]


def read_user_regions(names: Set[str], *, boxes: Path | None, mask: Path | None) -> UserRegions:
    """Read the regions specified by the user.

    Args:
        names: names of the pictures, with folders and suffixes.
        boxes: see `read_boxes`.
        mask: a mask for all pictures, in which every pixel that is not black is covered; or a folder of such masks,
            see `MaskFolder`. Masks must be fully opaque.

    Raises:
        InputError: both are passed, a file cannot be read, it names missing pictures, or two masks have the same name.
    """
    if boxes is not None and mask is not None:
        raise InputError("pass boxes or a mask, not both")
    if boxes is not None:
        return _from_boxes(boxes, names)
    if mask is None:
        return UserRegions(find=lambda _picture, _name: None, identity=lambda _name: "")
    return _from_masks(mask, names) if mask.is_dir() else _from_mask(mask)


def _from_boxes(path: Path, names: Set[str]) -> UserRegions:
    table = boxes_by_picture(path, names)
    if (unknown := sorted(table.keys() - names)) and not _is_one_of_many(names, table.keys()):
        raise InputError(f"{path}: {len(unknown)} of its names match no picture: {some_names(unknown)}")

    def find(picture: Picture, name: str) -> Mask | None:
        if name not in table:
            return None
        region = np.zeros((picture.height, picture.width), dtype=bool)
        for box in boxes_on(picture, table[name]):
            region |= box.mask(picture.height, picture.width)
        return region

    return UserRegions(find=find, identity=lambda name: str(table[name]) if name in table else "")


def _is_one_of_many(names: Set[str], named: Set[str]) -> bool:
    """Return whether a single picture is redacted and the file names others of the same set."""
    return len(names) == 1 and names <= named


def _from_mask(path: Path) -> UserRegions:
    mask, content = _read_mask(path), hash_files(path)
    return UserRegions(find=lambda picture, _name: _fitting(mask, picture, path), identity=lambda _name: content)


def _from_masks(folder: Path, names: Set[str]) -> UserRegions:
    masks = MaskFolder(folder)
    found = {name: path for name in names if (path := masks.find(name)) is not None}
    used = {path_stem(path.relative_to(folder)) for path in found.values()}
    if (unknown := sorted(masks.stems - used)) and not (len(names) == 1 and found):
        raise InputError(f"{folder}: {len(unknown)} masks match no picture: {some_names(unknown)}")

    def find(picture: Picture, name: str) -> Mask | None:
        return _fitting(_read_mask(found[name]), picture, found[name]) if name in found else None

    return UserRegions(find=find, identity=lambda name: hash_files(found[name]) if name in found else "")


def _read_mask(path: Path) -> Mask:
    return np.asarray((read_levels(path) != 0).any(axis=2))


def _fitting(mask: Mask, picture: Picture, path: Path) -> Mask:
    if mask.shape != (picture.height, picture.width):
        size = f"{mask.shape[1]} x {mask.shape[0]}"
        problem = f"the mask {path} has {size} pixels, the upright picture {picture.width} x {picture.height}"
        raise ImageError(picture.source, problem)
    return mask
