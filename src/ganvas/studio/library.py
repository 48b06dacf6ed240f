"""Library of the studio: runs, reports and models below the root folder, identified by ids instead of paths."""

from __future__ import annotations

import hashlib
import hmac
import html
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganvas.serialization import read_json

__all__ = ["Entry", "Library"]

Kind = Literal["run", "report", "model"]
DEPTH = 4
"""Number of folder levels below the root to search."""
MOST = 20_000
"""Largest number of directory entries in a search."""
SKIPPED = {"node_modules", "__pycache__", "snapshots", "samples", "site-packages"}
HEAD = 4096
"""Number of bytes at the start of a report that contain its title."""


@dataclass(frozen=True)
class Entry:
    """Run, report or model.

    Attributes:
        id: id derived from the path and a secret of this process.
        kind: run, report or model.
        name: path below the root, or the name of a run that was named on the command line.
        path: the run folder or the file.
    """

    id: str
    kind: Kind
    name: str
    path: Path


class Library:
    """Library of the runs and the root of the command line.

    Args:
        runs: run folders.
        root: folder to search at each call of `scan`.
    """

    def __init__(self, runs: Sequence[Path], root: Path) -> None:
        self._runs, self._root = [Path(os.path.realpath(run)) for run in runs], Path(os.path.realpath(root))
        self._secret = secrets.token_bytes(16)
        self._entries: dict[str, Entry] = {}

    @property
    def root(self) -> Path:
        """Return the root folder without links."""
        return self._root

    def scan(self) -> list[Entry]:
        """Search the root, and return all entries, runs first and by name."""
        found = {path: self._entry("run", path) for path in self._runs}
        if self._root.is_dir():
            found |= {path: self._entry(kind, path) for kind, path in self._walk()}
        entries = sorted(found.values(), key=lambda one: (("run", "report", "model").index(one.kind), one.name))
        self._entries = {one.id: one for one in entries}
        return entries

    def get(self, key: str, *kinds: Kind) -> Entry:
        """Return an entry.

        Raises:
            KeyError: no entry has this id and one of these kinds.
        """
        if key not in self._entries:
            self.scan()
        entry = self._entries[key]
        if entry.kind not in kinds:
            raise KeyError(key)
        return entry

    def _entry(self, kind: Kind, path: Path) -> Entry:
        key = hmac.digest(self._secret, f"{kind} {path}".encode(errors="surrogateescape"), hashlib.sha256).hex()[:24]
        inside = path.is_relative_to(self._root) and path != self._root
        name = path.relative_to(self._root).as_posix() if inside else path.name
        return Entry(key, kind, name.encode(errors="replace").decode(), path)

    def _walk(self) -> Iterator[tuple[Kind, Path]]:
        """Yield the entries below the root without following links."""
        seen = 0
        for folder, folders, names in os.walk(self._root, followlinks=False):
            place = Path(folder)
            depth = len(place.relative_to(self._root).parts)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
            if depth >= DEPTH:
                folders.clear()
            if "run.json" in names:
                yield "run", place
            for name in names:
                if name == "report.html" or name.endswith(".redaction.html"):
                    yield "report", place / name
                elif name.endswith(".onnx"):
                    yield "model", place / name
            seen += len(names) + len(folders)
            if seen > MOST:
                return


def title_of(path: Path) -> str:
    """Return the title of a report, or its file name."""
    with path.open("rb") as file:
        found = re.search(r"<title>(.*?)</title>", file.read(HEAD).decode(errors="replace"), flags=re.DOTALL)
    return html.unescape(found[1]).strip() if found else path.name


def describe_run(path: Path) -> dict[str, Any]:
    """Return the description of a run from its record; empty if the record cannot be read."""
    try:
        record = read_json(path / "run.json")
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not isinstance(record.get("method"), dict):
        return {}
    method = record["method"]
    return {
        "method": str(method.get("kind", "")).removesuffix("Config"),
        "scale": method.get("scale", 1),
        "created": record.get("created"),
        "trained": isinstance(record.get("training"), dict),
        "epochs": (record.get("training") or {}).get("epochs"),
        "minutes": (record.get("training") or {}).get("minutes"),
        "usable": any((path / "snapshots" / f"{name}.safetensors").is_file() for name in ("last", "best")),
    }
