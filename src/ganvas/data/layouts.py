"""Layouts of data sets on disk: which files form pairs or unpaired sides, and what does not fit, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, get_args, overload

from ganvas.data.config import DataConfig
from ganvas.errors import DataError, InputError
from ganvas.image.files import image_names, read_image
from ganvas.image.folders import name_key
from ganvas.serialization import read_json

__all__ = [
    "Entry",
    "Layout",
    "Split",
    "data_files",
    "data_folders",
    "find_entries",
    "find_layout",
    "find_sides",
    "has_split",
    "pictures_in",
    "some_names",
]

Split = Literal["train", "val", "test"]
Layout = Literal["folders", "side_by_side", "single", "unpaired"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Files of one pair.

    Attributes:
        name: the stem, unique within a split.
        a: the first side; None if the file `b` holds both sides or is degraded on the fly.
        b: the second side.
    """

    name: str
    a: Path | None
    b: Path


class Entries(Sequence[Entry]):
    """Lazy sequence of pairs in the order of their names; only the file names take memory.

    Args:
        folder_a: folder of the first sides; None if the files in `folder_b` hold both.
        files_a: file names of the first sides; empty without `folder_a`.
        folder_b: folder of the second sides.
        files_b: file names of the second sides, in the order of their stems.
    """

    def __init__(self, folder_a: Path | None, files_a: list[str], folder_b: Path, files_b: list[str]) -> None:
        self._folder_a, self._files_a = folder_a, files_a
        self._folder_b, self._files_b = folder_b, files_b

    def __len__(self) -> int:
        return len(self._files_b)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> Entry | Entries:
        if isinstance(index, slice):
            return Entries(self._folder_a, self._files_a[index], self._folder_b, self._files_b[index])
        a, b = self._folder_a and self._folder_a / self._files_a[index], self._folder_b / self._files_b[index]
        return Entry(b.stem, a, b)


def some_names(names: Sequence[str], limit: int = 10) -> str:
    """Return at most `limit` names, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def has_split(config: DataConfig, split: Split) -> bool:
    """Return whether the data set has a split, for optional validation."""
    if config.layout == "unpaired":
        return config.folder.is_dir() and any(_candidates(config.folder, split, side) for side in get_args(SideName))
    if config.split_file is not None:
        return bool(_read_split_file(config.split_file)[split])
    return (config.folder / split).is_dir()


def find_layout(config: DataConfig, split: Split) -> Layout:
    """Return the configured layout, or for `auto` the one detected from the files.

    `auto`: `single` with a degradation; `folders` if the two folders exist; else `side_by_side` if the first picture
    is twice as wide as high.

    Raises:
        DataError: the split does not exist, or no layout is detected.
    """
    if config.layout != "auto":
        return config.layout
    folder = _split_folder(config, split)
    if config.degrade != "none":
        return "single"
    if _side(folder, "a") and _side(folder, "b"):
        return "folders"
    _require_square_halves(folder)
    return "side_by_side"


def _require_square_halves(folder: Path) -> None:
    """Require two square halves, so that ordinary photographs are not split by mistake."""
    first = read_image(folder / pictures_in(folder)[0])
    if first.width != 2 * first.height:
        raise DataError(
            f"{folder}: no layout shows: it has no folders a and b, and {first.source} is not twice as wide as high; "
            "give layout side_by_side if each file holds two halves, or a degradation to make pairs of photographs"
        )


def find_entries(config: DataConfig, split: Split) -> Sequence[Entry]:
    """Return the pairs of one split, sorted by name.

    Raises:
        DataError: the split is missing or empty, or files have no partner or no unique stem; the message names them.
    """
    folder = _split_folder(config, split)
    folders = find_layout(config, split) == "folders"
    entries: Sequence[Entry] = _match(folder) if folders else Entries(None, [], folder, _by_stem(folder))
    if config.split_file is not None:
        entries = _listed_in_split(entries, config.split_file, split)
    if not entries:
        raise DataError(f"{folder}: no pictures for the split {split}")
    return entries


def _split_folder(config: DataConfig, split: Split) -> Path:
    folder = config.folder if config.split_file is not None else config.folder / split
    if folder.is_dir():
        return folder
    if not config.folder.is_dir():
        raise DataError(f"{folder} is not a folder; check the path")
    if (config.folder / f"{split}A").is_dir():
        raise DataError(
            f"{config.folder} has {split}A and {split}B, unpaired pictures: train the recipe cyclegan on them, or put "
            f"pairs of one stem and size into {split}/a and {split}/b"
        )
    raise DataError(
        f"{folder} is not a folder; put the pictures there, let `ganvas prepare` make such folders, or give a "
        f'split_file, JSON {{"{split}": [names]}}'
    )


def _side(folder: Path, side: Literal["a", "b"]) -> Path | None:
    """Return the folder named a or A (b or B), or None."""
    found = [child for child in sorted(folder.iterdir()) if child.name in (side, side.upper()) and child.is_dir()]
    return found[0] if found else None


def pictures_in(folder: Path) -> list[str]:
    """Return the names of the picture files of a folder, in order.

    Raises:
        DataError: there are none.
    """
    if names := image_names(folder):
        return names
    inside = [child.name for child in sorted(folder.iterdir()) if child.is_dir() and image_names(child)]
    if {name.lower() for name in inside} >= {"a", "b"}:
        raise DataError(f"{folder}: no pictures in it but pairs in its folders; give --layout folders, --degrade none")
    hint = f", only in its folders ({some_names(inside, 3)}): move them up" if inside else ""
    raise DataError(f"{folder}: no pictures in it{hint}")


def _by_stem(folder: Path) -> list[str]:
    """Return the names of the picture files in the order of their stems, which must be unique."""
    names = pictures_in(folder)
    names.sort(key=_stem)
    if twice := [name for name, other in zip(names, _neighbours(names), strict=True) if _stem(name) in other]:
        raise DataError(f"{folder}: {len(twice)} files share their stem with another; rename them: {some_names(twice)}")
    return names


def _neighbours(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the stems before and after each name."""
    for index in range(len(names)):
        before = _stem(names[index - 1]) if index else ""
        yield before, _stem(names[index + 1]) if index + 1 < len(names) else ""


def _stem(name: str) -> str:
    """Return the stem by which pairs are matched."""
    return name_key(PurePath(name).stem)


def _match(folder: Path) -> Entries:
    folders = _side(folder, "a"), _side(folder, "b")
    if folders[0] is None or folders[1] is None:
        raise DataError(f"{folder}: layout 'folders' needs the folders a and b in it")
    a, b = _by_stem(folders[0]), _by_stem(folders[1])
    if len(a) != len(b) or any(_stem(one) != _stem(other) for one, other in zip(a, b, strict=True)):
        stems_a, stems_b = set(map(_stem, a)), set(map(_stem, b))
        unmatched = [
            f"{len(alone)} only in {where}: {some_names(alone)}"
            for where, alone in ((folders[0], sorted(stems_a - stems_b)), (folders[1], sorted(stems_b - stems_a)))
            if alone
        ]
        raise DataError(f"{folder}: files of a pair must share their stem; " + "; ".join(unmatched))
    return Entries(folders[0], a, folders[1], b)


def _listed_in_split(entries: Iterable[Entry], split_file: Path, split: Split) -> list[Entry]:
    """Return the entries that the split file lists, by stem or by file name."""
    known = {name_key(key): entry for entry in entries for key in (entry.b.name, entry.name)}
    listed = _read_split_file(split_file)
    splits = {name: [name_key(key) for key in keys] for name, keys in listed.items()}
    if missing := [name for name in splits[split] if name not in known]:
        raise DataError(f"{split_file}: {len(missing)} names of {split} have no file: {some_names(missing)}")
    chosen = {known[name].name: known[name] for name in splits[split]}
    others = {known[name].name for other in splits if other != split for name in splits[other] if name in known}
    if twice := sorted(chosen.keys() & others):
        raise DataError(f"{split_file}: {len(twice)} pictures stand in two splits: {some_names(twice)}")
    return sorted(chosen.values(), key=lambda entry: entry.name)


def _read_split_file(path: Path) -> dict[Split, list[str]]:
    """Return the names of each split; a split that is left out is empty.

    Raises:
        DataError: it is not a split file.
    """
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a split file: {error}") from error
    splits: tuple[Split, ...] = get_args(Split)
    if not isinstance(record, dict) or not all(key in splits and _is_names(record[key]) for key in record):
        raise DataError(f'{path}: a split file is {{"train": [names], "val": [names], "test": [names]}}')
    return {split: record.get(split, []) for split in splits}


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


SideName = Literal["a", "b"]


def find_sides(config: DataConfig, split: Split) -> dict[SideName, tuple[Path, list[str]]]:
    """Return folder and ordered picture names of each side of a split; the sides may differ in length.

    Raises:
        DataError: a side of the split is missing or empty.
    """
    if not config.folder.is_dir():
        raise DataError(f"{config.folder} is not a folder; check the path")
    folders: dict[SideName, Path] = {side: _side_folder(config, split, side) for side in get_args(SideName)}
    return {side: (folder, pictures_in(folder)) for side, folder in folders.items()}


def _side_folder(config: DataConfig, split: Split, side: SideName) -> Path:
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
    """Return folders named trainA, or train/a, in any case."""
    together = [child for child in _folders(folder) if child.name.lower() == f"{split}{side}"]
    below = [split_folder for split_folder in _folders(folder) if split_folder.name.lower() == split]
    return together + [child for parent in below for child in _folders(parent) if child.name.lower() == side]


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def data_files(config: DataConfig) -> Iterator[Path]:
    """Yield the picture files of every split, and the split file; a split that cannot be read yields nothing."""
    for split in get_args(Split):
        with suppress(InputError):  # reported where the split is used
            if config.layout == "unpaired":
                for folder, names in find_sides(config, split).values():
                    yield from (folder / name for name in names)
            else:
                for entry in find_entries(config, split):
                    yield from (path for path in (entry.a, entry.b) if path is not None)
    if config.split_file is not None:
        yield config.split_file


def data_folders(config: DataConfig) -> set[Path]:
    """Return the folders that hold the pictures of a data set, in which no other pictures may be put."""
    return {path.parent for path in data_files(config) if path != config.split_file}
