"""Layouts of data sets on disk: detection, pairs by stem, unpaired sides, and split files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import Literal, get_args

from ganvas.data.config import DataConfig
from ganvas.errors import DataError, InputError
from ganvas.filesystem.paths import name_key
from ganvas.image.files import image_names, read_image
from ganvas.image.picture import Picture
from ganvas.serialization import read_json
from ganvas.video import has_film_suffix, is_film

__all__ = [
    "Entries",
    "Entry",
    "Layout",
    "SideName",
    "Split",
    "data_files",
    "data_folders",
    "find_entries",
    "find_layout",
    "has_split",
    "is_mostly_paired",
    "is_unsplit",
    "pictures_in",
    "some_names",
]

Split = Literal["train", "val", "test"]
Layout = Literal["folders", "side_by_side", "single", "unpaired"]
SideName = Literal["a", "b"]
BOTH: tuple[SideName, ...] = ("a", "b")
Listing = tuple[tuple[SideName, ...], dict[Path, list[str]]]
"""Sides of entries, and folder -> file names: the n-th name in each folder belongs to the n-th entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Files of one item of a data set: one picture per side.

    Attributes:
        name: name in the sides: the stem of a pair, unique within a split, or the file name of an unpaired picture.
        label: name in messages and refusals.
        sides: both sides for a pair; one side for a single or unpaired picture.
        files: one file for each side, or one file with both halves.
        film: whether the file is a film, from which many pictures are selected (see `ganvas.data.films`).
        window: for a frame of a film, the frame and its neighbors in order.
    """

    name: str
    label: str
    sides: tuple[SideName, ...]
    files: tuple[Path, ...]
    film: bool = False
    window: tuple[Picture, ...] = ()


class Entries:
    """Entries of a split, created on each iteration, so that only the file names use memory."""

    def __init__(self, *listings: Listing, paired: bool) -> None:
        self._listings, self._paired = listings, paired

    def __len__(self) -> int:
        return sum(len(next(iter(names.values()))) for _, names in self._listings)

    def __iter__(self) -> Iterator[Entry]:
        for sides, names in self._listings:
            for together in zip(*names.values(), strict=True):
                files = tuple(folder / name for folder, name in zip(names, together, strict=True))
                name = files[-1].stem if self._paired else files[-1].name
                label = name if self._paired else f"{files[-1].parent.name}/{name}"
                yield Entry(name, label, sides, files, film=has_film_suffix(files[-1].name))


def some_names(names: Sequence[str], limit: int = 10) -> str:
    """Return at most `limit` names, and the number of the remaining ones."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def is_unsplit(config: DataConfig) -> bool:
    """Return whether scenes are split: the data is a film, or a folder with films and without split folders."""
    if config.layout == "unpaired" or config.split_file is not None or config.degrade == "none":
        return False
    if config.folder.is_file():
        return is_film(config.folder)
    has_folders = any((config.folder / split).is_dir() for split in get_args(Split))
    return config.folder.is_dir() and not has_folders and bool(_film_names(config.folder))


def _film_names(folder: Path) -> list[str]:
    """Return the names of the films of a folder."""
    names = sorted(child.name for child in folder.iterdir() if not child.name.startswith("."))
    return [name for name in names if has_film_suffix(name) and (folder / name).is_file() and is_film(folder / name)]


def has_split(config: DataConfig, split: Split) -> bool:
    """Return whether the folder of a split exists; for films use `ganvas.data.films.has_pictures`."""
    if config.layout == "unpaired":
        return config.folder.is_dir() and any(_candidates(config.folder, split, side) for side in BOTH)
    if config.split_file is not None:
        return bool(_read_split_file(config.split_file)[split])
    return (config.folder / split).is_dir()


def find_layout(config: DataConfig, split: Split) -> Layout:
    """Return the configured layout, or for `auto` the one detected from the files.

    `auto`: `single` with a degradation; `folders` if the two folders exist; else `side_by_side` if the first picture
    is twice as wide as high.

    Raises:
        DataError: the split does not exist, no layout matches, or a split file is set for a single film.
    """
    # Detection never guesses between two matching layouts: a wrong guess would train on halves of photographs.
    if config.folder.is_file() and config.split_file is not None:
        raise DataError(
            f"{config.folder} is not a folder; a split file lists pictures and films of a folder: pass that folder, or "
            "omit --split-file to split a film by scene"
        )
    if config.folder.is_file() and not is_unsplit(config):
        raise DataError(
            f"{config.folder} is not a folder; a film has no pairs, so it needs --layout single and a degradation, "
            "such as --degrade mosaic; put pictures into folders named train and val"
        )
    if is_unsplit(config):
        return "single"
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
            f"{folder}: unknown layout: it has no folders a and b, and {first.source} is not twice as wide as high; "
            "set layout side_by_side if each file contains two halves; to create pairs from photographs, use "
            "`ganvas prepare`, or train with --degrade, for example --degrade mosaic"
        )


def find_entries(config: DataConfig, split: Split) -> Entries | list[Entry]:
    """Return the pairs of one split, sorted by name, or its unpaired pictures, side a first.

    Raises:
        DataError: the split is missing or empty, or files have no partner or no unique stem; the message names them.
    """
    match find_layout(config, split):
        case "unpaired":
            if not config.folder.is_dir():
                raise DataError(f"{config.folder} is not a folder; check the path")
            homes = [(side, _side_folder(config, split, side)) for side in BOTH]
            return Entries(*(((side,), {home: pictures_in(home, films=True)}) for side, home in homes), paired=False)
        case "folders":
            listing: Listing = BOTH, _match(_split_folder(config, split))
        case "side_by_side":
            listing = BOTH, _by_stem(_split_folder(config, split))
        case "single" if config.folder.is_file():
            return [Entry(config.folder.stem, config.folder.name, ("b",), (config.folder,), film=True)]
        case "single":
            home = config.folder if is_unsplit(config) else _split_folder(config, split)
            listing = ("b",), _by_stem(home, films=True)
    entries = Entries(listing, paired=True)
    return entries if config.split_file is None else _listed_in_split(entries, config.split_file, split)


def _split_folder(config: DataConfig, split: Split) -> Path:
    folder = config.folder if config.split_file is not None else config.folder / split
    if folder.is_dir():
        return folder
    if not config.folder.is_dir():
        raise DataError(f"{folder} is not a folder; check the path")
    if (config.folder / f"{split}A").is_dir():
        raise DataError(
            f"{config.folder} contains unpaired pictures in {split}A and {split}B: train a recipe such as cyclegan on "
            f"them, or put pairs of equal stem and size into {split}/a and {split}/b"
        )
    raise DataError(
        f"{folder} is not a folder; put the pictures there, create such folders with `ganvas prepare`, or train "
        f'with --split-file FILE, JSON {{"{split}": [names]}}'
    )


def _side(folder: Path, side: Literal["a", "b"]) -> Path | None:
    """Return the folder named a or A (b or B), or None."""
    found = [child for child in sorted(folder.iterdir()) if child.name in (side, side.upper()) and child.is_dir()]
    return found[0] if found else None


def pictures_in(folder: Path, *, films: bool = False) -> list[str]:
    """Return the sorted names of the picture files of a folder, and of its films if `films`.

    Raises:
        DataError: there are none.
    """
    found = _film_names(folder)
    if names := sorted([*image_names(folder), *found]) if films and found else image_names(folder):
        return names
    if found:
        raise DataError(
            f"{folder}: films contain no pairs ({some_names(found, 3)}); use --layout single and a degradation, "
            "such as --degrade mosaic"
        )
    inside = [child.name for child in sorted(folder.iterdir()) if child.is_dir() and image_names(child)]
    if {name.lower() for name in inside} >= {"a", "b"}:
        raise DataError(f"{folder}: contains pairs in its folders, not pictures; use --layout folders --degrade none")
    hint = f", only its folders ({some_names(inside, 3)}) do: move them up" if inside else ""
    raise DataError(f"{folder}: contains no pictures{hint}")


def _by_stem(folder: Path, *, films: bool = False) -> dict[Path, list[str]]:
    """Return folder -> names of its picture files in the order of their stems, which must be unique."""
    names = pictures_in(folder, films=films)
    names.sort(key=_stem)
    groups = (list(same) for _, same in groupby(names, key=_stem))
    if twice := [name for same in groups if len(same) > 1 for name in same]:
        raise DataError(f"{folder}: {len(twice)} files share their stem with another; rename them: {some_names(twice)}")
    return {folder: names}


def _stem(name: str) -> str:
    """Return the stem by which pairs are matched."""
    return name_key(PurePath(name).stem)


def _match(folder: Path) -> dict[Path, list[str]]:
    """Return the folders of sides a and b, and their file names, matched by stem."""
    folders = _side(folder, "a"), _side(folder, "b")
    if folders[0] is None or folders[1] is None:
        raise DataError(f"{folder}: layout 'folders' needs the folders a and b in it")
    names = _by_stem(folders[0]) | _by_stem(folders[1])
    a, b = ([_stem(name) for name in names[side]] for side in names)
    if a != b:
        unmatched = [
            f"{len(alone)} only in {where}: {some_names(alone)}"
            for where, alone in ((folders[0], sorted({*a} - {*b})), (folders[1], sorted({*b} - {*a})))
            if alone
        ]
        raise DataError(f"{folder}: files of a pair must share their stem; " + "; ".join(unmatched))
    return names


def is_mostly_paired(folder: Path) -> bool:
    """Return whether the folders a and b of a split's folder share more than half of all stems."""
    homes = [_side(folder, side) for side in BOTH] if folder.is_dir() else []
    stems = [{_stem(name) for name in image_names(home)} for home in homes if home is not None]
    return len(stems) == 2 and 2 * len(stems[0] & stems[1]) > len(stems[0] | stems[1])


def _listed_in_split(entries: Entries, split_file: Path, split: Split) -> list[Entry]:
    """Return the entries that the split file lists, by stem or by file name."""
    known = {name_key(key): entry for entry in entries for key in (entry.files[-1].name, entry.name)}
    listed = _read_split_file(split_file)
    splits = {name: [name_key(key) for key in keys] for name, keys in listed.items()}
    if missing := [name for name in splits[split] if name not in known]:
        raise DataError(f"{split_file}: {len(missing)} names of {split} have no file: {some_names(missing)}")
    chosen = {known[name].name: known[name] for name in splits[split]}
    others = {known[name].name for other in splits if other != split for name in splits[other] if name in known}
    if twice := sorted(chosen.keys() & others):
        raise DataError(f"{split_file}: {len(twice)} pictures are in two splits: {some_names(twice)}")
    if not chosen:
        raise DataError(f"{split_file}: no pictures for the split {split}")
    return sorted(chosen.values(), key=lambda entry: entry.name)


def _read_split_file(path: Path) -> dict[Split, list[str]]:
    """Return the names of each split; a missing split is empty.

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


def _side_folder(config: DataConfig, split: Split, side: SideName) -> Path:
    found = _candidates(config.folder, split, side)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{config.folder}: {' and '.join(map(str, found))} are both side {side} of {split}; keep one")
    named = f"{split}{side.upper()}"
    raise DataError(
        f"{config.folder}: unpaired data needs the folders {split}A and {split}B (or {split}/a and {split}/b), and "
        f"{named} does not exist; create it, or use a method for pairs"
    )


def _candidates(folder: Path, split: Split, side: str) -> list[Path]:
    """Return folders named trainA or train/a, ignoring case."""
    together = [child for child in _folders(folder) if child.name.lower() == f"{split}{side}"]
    below = [split_folder for split_folder in _folders(folder) if split_folder.name.lower() == split]
    return together + [child for parent in below for child in _folders(parent) if child.name.lower() == side]


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def data_files(config: DataConfig) -> Iterator[Path]:
    """Yield the picture files of every split, and the split file; a split that cannot be read yields nothing."""
    for split in get_args(Split):
        with suppress(InputError):  # the code that uses the split reports it
            for entry in find_entries(config, split):
                yield from entry.files
    if config.split_file is not None:
        yield config.split_file


def data_folders(config: DataConfig) -> set[Path]:
    """Return the folders that contain the pictures of a data set, which must not contain any outputs."""
    given = {config.split_file, config.folder}  # the folder of a film that is passed by name may contain other files
    return {path.parent for path in data_files(config) if path not in given}
