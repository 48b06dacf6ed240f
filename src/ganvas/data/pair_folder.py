"""The folder that a preparation writes: pairs, and a journal by which it goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganvas.errors import DataError
from ganvas.image.atomic import append_line
from ganvas.image.files import write_image
from ganvas.image.picture import Picture

__all__ = ["PairFolder", "Record"]

JOURNAL = ".prepare.jsonl"
Record = dict[str, Any]


@dataclass
class PairFolder:
    """Pairs of one set of settings.

    A pair's line goes to the journal before its files, and its half a is written last: a line whose files are there
    is a whole pair, and no file is there without a line.

    Attributes:
        path: the folder; made with the first pair.
        settings: what its pairs were made by.
        lines: the journal, oldest first.
    """

    path: Path
    settings: Record
    lines: list[Record] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, settings: Record) -> PairFolder:
        """A new or empty folder, or one that an earlier run of the same settings began.

        Raises:
            DataError: it holds something else.
        """
        if not (path / JOURNAL).exists():
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise DataError(f"{path} holds something else; give an empty or new folder")
            return cls(path, settings)
        lines = [_parsed(line) for line in (path / JOURNAL).read_text(encoding="utf-8").splitlines()]
        if not lines or lines[0].get("settings") != settings:
            raise DataError(f"{path} holds pairs made with other settings; give another folder, or remove it")
        return cls(path, settings, lines)

    def kept(self, name: str, sha256: str, split: str) -> Record | None:
        """The entry of a pair that is already there, made from the same bytes and for the same split."""
        own = [line for line in self.lines if line.get("name") == name]
        if not own or (own[-1]["sha256"], own[-1]["split"]) != (sha256, split):
            return None
        return own[-1] if all((self.path / own[-1][side]).is_file() for side in ("a", "b")) else None

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
        """Remove pairs of earlier runs that are in another split now, or whose source is gone."""
        wanted = {entry[side] for entry in entries for side in ("a", "b")}
        written = {line[side] for line in self.lines if "name" in line for side in ("a", "b")}
        for stray in written - wanted:
            (self.path / stray).unlink(missing_ok=True)

    def _append(self, line: Record) -> None:
        append_line(self.path / JOURNAL, json.dumps(line))
        self.lines.append(line)


def _parsed(line: str) -> Record:
    """A line of the journal; one that was cut short says nothing."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
