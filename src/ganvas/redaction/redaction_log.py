"""The redaction log: a JSON line a picture, by which a stopped redaction also goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ganvas.bulk.atomic import append_line
from ganvas.strict_json import parse_json

__all__ = ["KEYED_ORIGINAL", "LOG", "ORIGINAL", "AuditLog"]

LOG = "redaction.jsonl"
ORIGINAL, KEYED_ORIGINAL = "sha256_in", "keyed_in"
"""Which key of a line identifies the original: its SHA-256, or a keyed hash where the log lies in the release."""


class AuditLog:
    """The log in a folder; a line that a crash left unfinished is passed over.

    It holds 96 bytes and the name of each picture that is done, not the lines.

    Args:
        folder: where the log lies; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        self._done: dict[str, bytes] = {}
        self._earlier: set[str] = set()
        self._start = self.path.stat().st_size if self.path.is_file() else 0
        for line in _lines(self.path):
            if proof := _proof(line):
                self._done[line["file"]] = proof
            elif self._done.pop(line["file"], None):
                self._earlier.add(line["file"])

    def proof(self, name: str) -> list[str] | None:
        """Return what must be unchanged for a picture to be left alone: hashes of settings, original and result.

        They are those of the last line about it; None where there is none, or it failed.
        """
        if (proof := self._done.get(name)) is None:
            return None
        return [proof[start : start + 32].hex() for start in (0, 32, 64)]

    def knows(self, name: str) -> bool:
        """Return whether a result of the picture was ever written here, even if a later attempt failed."""
        return name in self._done or name in self._earlier

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Append lines and put them on the disk together."""
        append_line(self.path, "\n".join(json.dumps(line, ensure_ascii=False) for line in lines))

    def added(self) -> Iterator[dict[str, Any]]:
        """The lines since this object was made, read back from the file."""
        return _lines(self.path, start=self._start)


def _lines(path: Path, *, start: int = 0) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(start)
        for text in file:
            if (line := _parse(text)) is not None:
                yield line


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        line = parse_json(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("file"), str) else None


def _proof(line: dict[str, Any]) -> bytes | None:
    try:
        original = line[KEYED_ORIGINAL] if KEYED_ORIGINAL in line else line[ORIGINAL]
        proof = bytes.fromhex(line["settings"] + original + line["sha256_out"])
    except (KeyError, TypeError, ValueError):
        return None
    return proof if len(proof) == 96 and "failed" not in line else None
