"""Which files make the two sides of unpaired data, and what does not fit, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ganvas.data.config import UnpairedData
from ganvas.data.pairs import Split, pictures_in
from ganvas.errors import DataError

__all__ = ["find_sides", "has_sides"]

SideName = Literal["a", "b"]


def find_sides(config: UnpairedData, split: Split) -> dict[SideName, tuple[Path, list[str]]]:
    """The folder of each side of a split and the names of its pictures, in order; the sides may differ in number.

    Raises:
        DataError: a side of the split is not there or is empty.
    """
    if not config.folder.is_dir():
        raise DataError(f"{config.folder} is not a folder; check the path")
    folders: dict[SideName, Path] = {side: _side_folder(config, split, side) for side in get_args(SideName)}
    return {side: (folder, pictures_in(folder)) for side, folder in folders.items()}


def has_sides(config: UnpairedData, split: Split) -> bool:
    """Whether the data has such a split at all, for validation that is optional."""
    return config.folder.is_dir() and any(_candidates(config.folder, split, side) for side in ("a", "b"))


def _side_folder(config: UnpairedData, split: Split, side: SideName) -> Path:
    found = _candidates(config.folder, split, side)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{config.folder}: {' and '.join(map(str, found))} are both side {side} of {split}; keep one")
    named = f"{split}{side.upper()}"
    raise DataError(
        f"{config.folder}: unpaired data needs the folders {split}A and {split}B (or {split}/a and {split}/b), and "
        f"there is no {named}; make it, or give pairs to a method that learns from them"
    )


def _candidates(folder: Path, split: Split, side: str) -> list[Path]:
    """Folders called trainA, or train/a, in letters of any case."""
    together = [child for child in _folders(folder) if child.name.lower() == f"{split}{side}"]
    below = [split_folder for split_folder in _folders(folder) if split_folder.name.lower() == split]
    return together + [child for parent in below for child in _folders(parent) if child.name.lower() == side]


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())
