"""Working folder of a long job: finished parts of one output, from which a killed command resumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganvas.errors import InputError
from ganvas.filesystem.atomic import write_text

__all__ = ["working_folder"]

IDENTITY = "identity"


@contextmanager
def working_folder(target: Path, identity: str) -> Iterator[Path]:
    """Yield a hidden folder beside `target` for parts of it; it is removed when the block ends, unless interrupted.

    A folder that an interrupted command left, or one whose disk was full, is continued if its identity is the same;
    otherwise it is emptied first.

    Args:
        target: the output file.
        identity: hashes of everything that determines the output.
    """
    folder = target.with_name(f".{target.name}.ganvas")
    note = folder / IDENTITY
    if folder.exists() and not (note.is_file() and note.read_text(encoding="utf-8") == identity):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, identity)
    try:
        yield folder
    except InputError:  # the same command would fail again
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
