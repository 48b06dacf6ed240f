"""Inputs of a command over many files, and where the output of each goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganvas.errors import InputError
from ganvas.filesystem import require_outside
from ganvas.image.files import IMAGE_SUFFIXES, list_images, require_regular, warn_of_repeated, warn_of_skipped
from ganvas.image.folders import list_folder

__all__ = ["Job", "find_files", "names_file", "require_suffix"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input of a command, as the runner hands it to a worker; ready for JSON.

    Attributes:
        name: path relative to the source folder, with forward slashes.
        source: the file.
        target: the file to write; None for an input that cannot be processed, which is listed as failed.
        proof: see `Journal.proof`.
        known: see `Journal.knows`; only then may what lies at `target` be replaced.
    """

    name: str
    source: Path
    target: Path | None
    proof: str | None = None
    known: bool = False


def names_file(out: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> bool:
    """Return whether `out` names an output file; otherwise it is a folder, existing or to be created.

    Raises:
        InputError: it has the ending of a file, and of none that can be written.
    """
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() in suffixes:
        return True
    known = ", ".join(sorted(suffixes))
    raise InputError(f"{out}: {out.suffix} cannot be written; give one of {known}, or make a folder of that name first")


def require_suffix(suffix: str | None, suffixes: Collection[str] = IMAGE_SUFFIXES) -> None:
    """Raise InputError where a suffix that a user gives, such as ".tif", is none of those of a format."""
    if suffix is not None and suffix.lower() not in suffixes:
        raise InputError(f"suffix {suffix!r} is no format; give one of {', '.join(sorted(suffixes))}")


def find_files(
    source: Path,
    out: Path,
    *,
    recursive: bool = True,
    every: bool = False,
    also: Callable[[Path], bool] = lambda _: False,
    apart: Sequence[Path] = (),
) -> dict[str, Path]:
    """Return name -> file for a file, or for the files of a folder in plain order of their names.

    Files in the output folder are results of an earlier call, never inputs. Skipped entries are named in a warning.

    Args:
        source: a file or a folder.
        out: the output folder, or for one file also a file name.
        recursive: include folders below `source`.
        every: include files that are no pictures, so that each visible file is accounted for.
        also: include such files besides pictures, for example films.
        apart: files in the folder that are no inputs, such as a log or a file of boxes; without links.

    Raises:
        InputError: there is nothing, or `out` lies in `source`.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the name")
    if not source.is_dir():
        require_regular(source)
        return {source.name: source}
    require_outside(out, source)
    if every:
        listing = list_folder(source)
        warn_of_repeated(source, listing)
        paths = listing.files
    else:
        paths = list_images(source, recursive=recursive, also=also)
        warn_of_skipped(source, recursive=recursive, out=out, also=also)
    # Links may lead into the output folder. Where the source itself lies in it, nothing is left out.
    root = Path(os.path.realpath(source))
    excluded = [path for path in (Path(os.path.realpath(out)), *apart) if not root.is_relative_to(path)]
    paths = [path for path in paths if not _lies_in_any(Path(os.path.realpath(path)), excluded)]
    if not paths:
        kinds = "files in it" if every else f"pictures in it ({', '.join(sorted(IMAGE_SUFFIXES))})"
        raise InputError(f"{source}: no {kinds}")
    return {path.relative_to(source).as_posix(): path for path in paths}


def _lies_in_any(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
