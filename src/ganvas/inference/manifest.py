"""What has been translated already: one JSON line a picture, so that an interrupted folder goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ganvas.image.atomic import append_line
from ganvas.records import to_record

MANIFEST_NAME = "translate.jsonl"


def hash_files(*paths: Path) -> str:
    """SHA-256 over the contents of files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def hash_settings(settings: object) -> str:
    """SHA-256 of a record in one fixed spelling."""
    return hashlib.sha256(json.dumps(to_record(settings), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One picture, as a line of the manifest.

    Attributes:
        name: of the picture, relative to the source folder.
        input: SHA-256 of the file, and of its mask where there is one.
        settings: SHA-256 of the run's snapshot and everything else that decides the result.
        output: SHA-256 of the written file; None where nothing was written.
        problem: why nothing was written.
        notes: what a person should know about the result.
    """

    name: str
    input: str
    settings: str
    output: str | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


class Manifest:
    """The manifest of an output folder; a line that a crash left unfinished is passed over."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.path, self.settings = folder / MANIFEST_NAME, settings
        self._done = dict(self._finished())

    def is_done(self, name: str, content: str, written: Path) -> bool:
        """Whether `written` is the result of that very picture with these very settings, unchanged since."""
        output = self._done.get((name, content))
        return output is not None and written.is_file() and hash_files(written) == output

    def add(self, row: ManifestRow) -> None:
        """Append a row and put it on the disk."""
        append_line(self.path, json.dumps(to_record(row)))

    def _finished(self) -> list[tuple[tuple[str, str], str]]:
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        rows = [row for line in lines if (row := _parse(line)) and row.get("settings") == self.settings]
        return [((row["name"], row["input"]), row["output"]) for row in rows if row.get("output")]


def _parse(line: str) -> dict[str, str] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"name", "input", "output"} <= row.keys() else None
