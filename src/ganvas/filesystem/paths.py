"""Overwrite protection: checks that no output of a command is one of its inputs, through any link."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ganvas.errors import InputError

__all__ = ["files_in", "lies_in", "require_apart", "require_outside"]

Identity = tuple[int, int]
"""Device and inode of a file, which symbolic links and hard links to it share."""


def require_apart(targets: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise if a target is a source, or if two targets are the same file through a link.

    Call this for all files before the first one is written.

    Args:
        targets: files that will be written; need not exist. Sidecars of labels count with their pictures.
        sources: files that are read; those that do not exist are skipped. Not iterated if no target exists.

    Raises:
        InputError: names the first targets that are sources, and the remedy.
    """
    there = _existing(targets)
    over = [str(there[identity]) for path in sources if (identity := _identity(path)) in there] if there else []
    if over:
        over = sorted(set(over))
        more = f" and {len(over) - 3} more" if len(over) > 3 else ""
        raise InputError(
            f"{', '.join(over[:3])}{more} would be overwritten, and this command reads it; give another output folder"
        )


def require_outside(out: Path, *sources: Path) -> None:
    """Raise if an output folder is a source folder or lies in one, since the next command would read the results.

    Args:
        out: need not exist.
        sources: folders whose files are read.

    Raises:
        InputError: names both, and the remedy.
    """
    for source in sources:
        if lies_in(out, source):
            raise InputError(
                f"{out} lies in {source}, whose pictures are read: originals and results would mix; "
                "give an output folder outside it"
            )


def lies_in(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or lies in it, with links resolved; neither need exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))  # links to themselves are no error


def _existing(targets: Iterable[Path]) -> dict[Identity | None, Path]:
    """Return identity -> target for the targets that exist; raise if two are one file."""
    there: dict[Identity | None, Path] = {}
    places = dict[tuple[str, str], Path]()
    real = cache(os.path.realpath)  # resolve each folder once for all files in it
    for target in targets:
        if identity := _identity(target):
            there[identity] = target
        if (other := places.setdefault((real(target.parent), target.name), target)) != target:
            raise InputError(f"{target} and {other} are one file through a link; give a folder without such links")
    return there


def files_in(path: Path | None) -> Iterator[Path]:
    """Yield the file itself, or the visible files of a folder and of the folders below it; nothing for None."""
    if path is None:
        return
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _identity(path: Path) -> Identity | None:
    """Return the identity of a file with links resolved, or None if it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
