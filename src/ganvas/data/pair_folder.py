"""Output folder of `ganvas prepare`: names of pairs, their files, and a journal for resuming."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from ganvas.bulk.runner import find_files
from ganvas.data.config import PrepareConfig
from ganvas.data.layouts import Split, some_names
from ganvas.errors import DataError
from ganvas.filesystem import contents_of, require_apart
from ganvas.filesystem.atomic import append_line
from ganvas.filesystem.paths import name_key
from ganvas.image.files import write_image
from ganvas.image.label import with_sidecar
from ganvas.image.picture import Picture
from ganvas.serialization import read_json_lines

__all__ = [
    "JOURNAL",
    "MANIFEST",
    "PairFolder",
    "Record",
    "check_targets",
    "named_files",
    "pair_folders",
    "pair_name",
    "target_name",
]

JOURNAL = ".prepare.jsonl"
SIDES = ("a", "b")
Record = dict[str, Any]


def pair_folders(out: Path) -> list[Path]:
    """Return the folders of both sides of all splits; they need not exist."""
    return [out / split / side for split in get_args(Split) for side in SIDES]


@dataclass
class PairFolder:
    """Folder of pairs created with one configuration.

    The journal line of a pair is written before its files, and side a is written last: a line whose files exist
    is a complete pair, and no file exists without a line.

    Attributes:
        path: the folder, created with the first pair.
        settings: the configuration of the pairs.
        lines: the journal, oldest first.
    """

    path: Path
    settings: Record
    lines: list[Record] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, settings: Record) -> PairFolder:
        """Open a new or empty folder, or one that an earlier run with the same settings started.

        Raises:
            DataError: the folder contains anything else.
        """
        if not (path / JOURNAL).exists():
            if path.exists() and (not path.is_dir() or contents_of(path)):
                raise DataError(f"{path} contains other files; use an empty or new folder")
            return cls(path, settings)
        lines = [line for line in read_json_lines(path / JOURNAL) if "settings" in line or _is_entry(line)]
        if not lines and all(child.name == JOURNAL for child in contents_of(path)):
            return cls(path, settings)  # interrupted while writing the first line
        if not lines or lines[0].get("settings") != settings:
            raise DataError(
                f"{path} contains pairs created with other settings; use another folder, or remove this one"
            )
        return cls(path, settings, lines)

    def kept(self, name: str, sha256: str, split: str) -> Record | None:
        """Return the entry of an existing pair of the same source bytes and split, or None."""
        own = [line for line in self.lines if line.get("name") == name]
        if not own or (own[-1]["sha256"], own[-1]["split"]) != (sha256, split):
            return None
        return own[-1] if all((self.path / own[-1][side]).is_file() for side in SIDES) else None

    def write(self, entry: Record, a: Picture, b: Picture) -> None:
        """Write one pair to entry["a"] and entry["b"].

        Raises:
            ImageError: a file cannot be written.
        """
        if not self.lines:
            self._append({"settings": self.settings})
        (self.path / entry["a"]).unlink(missing_ok=True)
        self._append(entry)
        write_image(self.path / entry["b"], b)
        write_image(self.path / entry["a"], a)

    def remove_all_but(self, entries: list[Record]) -> None:
        """Remove pairs of earlier runs that now belong to another split, or whose source is gone."""
        wanted = {entry[side] for entry in entries for side in SIDES}
        written = {line[side] for line in self.lines if "name" in line for side in SIDES}
        for stray in written - wanted:
            (self.path / stray).unlink(missing_ok=True)

    def _append(self, line: Record) -> None:
        append_line(self.path / JOURNAL, json.dumps(line))
        self.lines.append(line)


def _is_entry(line: Record) -> bool:
    """Return whether a line describes a pair whose files are in the folders of pairs, so that they may be removed."""
    if not all(isinstance(line.get(key), str) for key in ("name", "sha256", "split", *SIDES)):
        return False
    places = [PurePosixPath(line[side]).parts for side in SIDES]
    return line["split"] in get_args(Split) and all(
        len(parts) == 3 and parts[:2] == (line["split"], side) and parts[2] != ".."
        for parts, side in zip(places, SIDES, strict=True)
    )


MANIFEST = "manifest.json"
LOSSLESS = (".png", ".tif", ".tiff", ".npy", ".bmp")
"""Suffixes that pairs keep; others become .png, so that training sees no second compression loss."""


def named_files(source: Path, out: Path) -> dict[str, Path]:
    """Return relative name -> file for every picture below `source` but not below `out`.

    Raises:
        InputError: `out` is inside `source`, or there are no pictures.
        DataError: two pairs would have the same name.
    """
    files = find_files(source, out)
    by_name = defaultdict(list)
    for file in files:
        by_name[name_key(pair_name(file))].append(file)
    if twice := sorted(file for same in by_name.values() if len(same) > 1 for file in same):
        raise DataError(f"{source}: {len(twice)} files would share a pair's name; rename them: {some_names(twice)}")
    return files


def check_targets(files: Mapping[str, Path], out: Path, config: PrepareConfig) -> None:
    """Raise InputError if a pair, in whichever split, would replace a file that is read."""
    names = {target_name(pair_name(file), path) for file, path in files.items()}
    targets = [with_sidecar(folder / name) for folder in pair_folders(out) if folder.is_dir() for name in names]
    read = [path for path in (config.boxes, Path(config.classifier)) if path is not None]
    require_apart([*chain(*targets), out / MANIFEST, out / JOURNAL], [*files.values(), *read])


def target_name(name: str, path: Path) -> str:
    """Return the file name of both sides of a pair."""
    own = path.suffix.lower()
    return f"{name}{own if own in LOSSLESS else '.png'}"


def pair_name(file: str) -> str:
    """Return the name of a picture's pair; folders become part of it: roses/1.jpg -> roses__1."""
    return "__".join(Path(file).with_suffix("").parts)
