"""Working folder of a long job: finished parts of one output, from which a killed command resumes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganvas.errors import GanvasError
from ganvas.filesystem.atomic import write_text
from ganvas.filesystem.folder_lock import claimed

__all__ = ["working_folder"]

IDENTITY = "identity"
LONGEST = 200
"""Bytes of a file name that is part of the folder's; a name may have 255."""


@contextmanager
def working_folder(target: Path, identity: str) -> Iterator[Path]:
    """Yield a hidden folder beside `target` for parts of it; it is removed when the block ends, unless interrupted.

    A folder that an interrupted command left, or one whose disk was full, is continued if its identity is the same;
    otherwise it is emptied first. One process at a time holds it, and what a killed one was writing is removed.

    Args:
        target: the output file.
        identity: hashes of everything that determines the output.

    Raises:
        FolderInUse: another process makes the same output.
    """
    folder = _folder_of(target)
    with claimed(folder):
        note = folder / IDENTITY
        if not (note.is_file() and note.read_text(encoding="utf-8") == identity):
            _empty(folder)
            write_text(note, identity)
        try:
            yield folder
        except GanvasError:  # the same command would fail again, and nothing of a refused film may stay
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def _folder_of(target: Path) -> Path:
    name = os.fsencode(target.name)
    return target.with_name(
        f".{target.name}.ganvas" if len(name) <= LONGEST else f".{hashlib.sha256(name).hexdigest()}.ganvas"
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
