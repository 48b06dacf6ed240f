"""Journal of finished inputs, and working folder of finished parts, from which commands resume.

A journal has one JSON line per input, with the hashes that show whether its result is still valid.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganvas.errors import GanvasError
from ganvas.filesystem import claimed, contents_of
from ganvas.filesystem.atomic import append_line, write_text
from ganvas.image.files import open_regular
from ganvas.serialization import read_json_lines, to_record

__all__ = [
    "Journal",
    "Record",
    "has_working_folder",
    "hash_file",
    "hash_files",
    "hash_settings",
    "joined_hashes",
    "working_folder",
]

Record = dict[str, Any]
"""JSON object."""
HASH_SIZE = 32
"""Bytes of a SHA-256."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(*paths: Path) -> str:
    """Return the SHA-256 over the SHA-256 of each of several regular files, in order."""
    return hashlib.sha256(b"".join(bytes.fromhex(hash_file(path)) for path in paths)).hexdigest()


def hash_settings(settings: object) -> str:
    """Return the SHA-256 of a record in canonical JSON."""
    return hashlib.sha256(json.dumps(to_record(settings), sort_keys=True).encode()).hexdigest()


def joined_hashes(line: Record, *keys: str) -> bytes | None:
    """Return the concatenated hashes under these keys of a line; None if one of them is missing."""
    try:
        joined = bytes.fromhex("".join(line[key] for key in keys))
    except (KeyError, TypeError, ValueError):
        return None
    return joined if len(joined) == HASH_SIZE * len(keys) else None


class Journal:
    """JSON-lines journal of a command, from which the same command resumes.

    A line that a crash left unfinished is skipped. The journal may exceed memory, so only the name and the proof of
    each finished input are kept, about 100 bytes, not the lines.

    Args:
        path: path of the file; need not exist.
        name_key: key of the input's name in a line.
        proof_of: a line -> the hashes of settings, input and output that must be unchanged for the input to be skipped;
            None for the line of a failure.
    """

    def __init__(self, path: Path, *, name_key: str, proof_of: Callable[[Record], bytes | None]) -> None:
        self.path, self._name_key = path, name_key
        self._proofs: dict[str, bytes] = {}
        self._earlier: set[str] = set()
        # Lines after this position are this call's own, see `added`.
        self._start = path.stat().st_size if path.is_file() else 0
        # Replay the earlier lines in order: the last line of an input decides. The name of a failed input is kept too,
        # since only an output that some call wrote may be replaced.
        for line in self._lines():
            if proof := proof_of(line):
                self._proofs[line[name_key]] = proof
            elif self._proofs.pop(line[name_key], None):  # a later line says that it failed, so it is processed again
                self._earlier.add(line[name_key])

    def proof(self, name: str) -> str | None:
        """Return the hashes of the last line of an input, in hexadecimal; None if there is none, or it failed."""
        return proof.hex() if (proof := self._proofs.get(name)) else None

    def knows(self, name: str) -> bool:
        """Return whether an output of that input was ever written, with any settings."""
        return name in self._proofs or name in self._earlier

    def add(self, lines: Iterable[Record]) -> None:
        """Append lines and flush them to disk together."""
        append_line(self.path, "\n".join(json.dumps(line, ensure_ascii=False) for line in lines))

    def added(self) -> Iterator[Record]:
        """Read back the lines added since this object was created."""
        return self._lines(start=self._start)

    def _lines(self, *, start: int = 0) -> Iterator[Record]:
        return (line for line in read_json_lines(self.path, start=start) if isinstance(line.get(self._name_key), str))


IDENTITY = "identity"
LONGEST = 200
"""Largest number of bytes of a file name that becomes part of the folder's name; a name has at most 255."""


@contextmanager
def working_folder(target: Path, identity: str) -> Iterator[Path]:
    """Yield a hidden folder beside `target` for parts of it; it is removed when the block ends, unless interrupted.

    A folder left by an interrupted command, or by one whose disk was full, is reused if its identity is the same;
    otherwise it is emptied first. One process at a time holds it, and partial files of a killed one are removed.

    Args:
        target: the output file.
        identity: hashes of everything that determines the output.

    Raises:
        FolderInUse: another process writes the same output.
    """
    folder = _folder_of(target)
    with claimed(folder):
        # Reuse parts only if settings, run and source are the same; the identity is written before the first part.
        note = folder / IDENTITY
        if not (note.is_file() and note.read_text(encoding="utf-8") == identity):
            _empty(folder)
            write_text(note, identity)
        try:
            yield folder
        except GanvasError:  # the same command would fail again, and no part of a refused film may remain
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def has_working_folder(target: Path) -> bool:
    """Return whether an interrupted command left the working folder of an output file."""
    return _folder_of(target).is_dir()


def _folder_of(target: Path) -> Path:
    name = os.fsencode(target.name)
    return target.with_name(
        f".{target.name}.ganvas" if len(name) <= LONGEST else f".{hashlib.sha256(name).hexdigest()}.ganvas"
    )


def _empty(folder: Path) -> None:
    for path in contents_of(folder):
        path.unlink()
