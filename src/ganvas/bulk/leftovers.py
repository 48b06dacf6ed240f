"""Removal of what killed processes left half written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ganvas.bulk.atomic import is_leftover

__all__ = ["sweep"]

SAFETENSORS_TEMPORARY = re.compile(r"\.tmp[A-Za-z0-9]{6}")
"""The name under which safetensors writes a file before it renames it."""


def sweep(folders: Iterable[Path], *, tensors: bool = False) -> None:
    """Remove leftovers of killed processes from folders; a folder that does not exist is passed over.

    Only files whose names ganvas itself makes are removed, and none that a running process is writing. Call it while
    the output folder is locked (`claimed`).

    Args:
        folders: each is looked at without the folders below it.
        tensors: remove safetensors' temporary files too; for run folders, where nothing else has such names.
    """
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            found = [entry.path for entry in entries if _is_ours(entry, tensors=tensors)]
            for path in found:
                Path(path).unlink(missing_ok=True)


def _is_ours(entry: os.DirEntry[str], *, tensors: bool) -> bool:
    if not entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
        return False
    return is_leftover(entry.name) or (tensors and SAFETENSORS_TEMPORARY.fullmatch(entry.name) is not None)
