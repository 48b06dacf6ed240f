"""User regions per picture: a file of boxes, one mask for all pictures, or a folder of masks."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.bulk.journal import hash_files
from ganvas.data.layouts import some_names
from ganvas.data.regions import boxes_by_picture, boxes_on
from ganvas.errors import ImageError, InputError
from ganvas.image.cover import read_levels
from ganvas.image.files import list_images
from ganvas.image.folders import match_names
from ganvas.image.picture import Picture

__all__ = ["UserRegions", "read_user_regions"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class UserRegions:
    """Regions that the user gave.

    Attributes:
        find: a picture and its name -> (H, W) bool, or None where the user gave nothing for it.
        identity: a picture's name -> a string that changes with the user's region.
    """

    find: Callable[[Picture, str], Mask | None]
    identity: Callable[[str], str]


def read_user_regions(names: Set[str], *, boxes: Path | None, mask: Path | None) -> UserRegions:
    """Read the regions that the user gave.

    Args:
        names: of the pictures there are, with folders and endings.
        boxes: see `ganvas.data.regions.read_boxes`.
        mask: a picture in which all that is not black is covered, for every picture; or a folder of such masks, each
            with the name of its picture and any ending. None may be transparent anywhere.

    Raises:
        InputError: both are given, a file cannot be read, it names pictures that are not there, or two masks have
            one name.
    """
    if boxes is not None and mask is not None:
        raise InputError("give boxes or a mask, not both")
    if boxes is not None:
        return _from_boxes(boxes, names)
    if mask is None:
        return UserRegions(find=lambda _picture, _name: None, identity=lambda _name: "")
    return _from_masks(mask, names) if mask.is_dir() else _from_mask(mask)


def _from_boxes(path: Path, names: Set[str]) -> UserRegions:
    table = boxes_by_picture(path, names)
    if (unknown := sorted(table.keys() - names)) and not _is_one_of_many(names, table.keys()):
        raise InputError(f"{path}: {len(unknown)} of its names have no picture: {some_names(unknown)}")

    def find(picture: Picture, name: str) -> Mask | None:
        if name not in table:
            return None
        region = np.zeros((picture.height, picture.width), dtype=bool)
        for box in boxes_on(picture, table[name]):
            region |= box.mask(picture.height, picture.width)
        return region

    return UserRegions(find=find, identity=lambda name: str(table[name]) if name in table else "")


def _is_one_of_many(names: Set[str], named: Set[str]) -> bool:
    """Return whether a single picture is redacted out of the set that a file names."""
    return len(names) == 1 and names <= named


def _from_mask(path: Path) -> UserRegions:
    mask, content = _read_mask(path), hash_files(path)
    return UserRegions(find=lambda picture, _name: _fitting(mask, picture, path), identity=lambda _name: content)


def _from_masks(folder: Path, names: Set[str]) -> UserRegions:
    stems = {Path(name).with_suffix("").as_posix() for name in names}
    masks = _by_stem(folder, stems)
    if (unknown := sorted(masks.keys() - stems)) and not _is_one_of_many(stems, masks.keys()):
        raise InputError(f"{folder}: {len(unknown)} masks have no picture: {some_names(unknown)}")

    def of(name: str) -> Path | None:
        return masks.get(Path(name).with_suffix("").as_posix())

    def find(picture: Picture, name: str) -> Mask | None:
        path = of(name)
        return None if path is None else _fitting(_read_mask(path), picture, path)

    def identity(name: str) -> str:
        path = of(name)
        return "" if path is None else hash_files(path)

    return UserRegions(find=find, identity=identity)


def _by_stem(folder: Path, stems: Set[str]) -> dict[str, Path]:
    """Return the mask of each picture, by the picture's name in `stems` (with folders, without suffix).

    Raises:
        InputError: two have one name, so that one of them would cover nothing.
    """
    masks: dict[str, Path] = {}
    own = {path: path.relative_to(folder).with_suffix("").as_posix() for path in list_images(folder, recursive=True)}
    meant = match_names(own.values(), stems)
    for path, name in own.items():
        stem = meant[name]
        if stem in masks:
            raise InputError(f"{masks[stem]} and {path} are both masks of {stem}; put them into one")
        masks[stem] = path
    return masks


def _read_mask(path: Path) -> Mask:
    return np.asarray((read_levels(path) != 0).any(axis=2))


def _fitting(mask: Mask, picture: Picture, path: Path) -> Mask:
    if mask.shape != (picture.height, picture.width):
        size = f"{mask.shape[1]} x {mask.shape[0]}"
        problem = f"the mask {path} has {size} pixels, the upright picture {picture.width} x {picture.height}"
        raise ImageError(picture.source, problem)
    return mask
