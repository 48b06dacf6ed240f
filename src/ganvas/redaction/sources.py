"""Which files a redaction is about, and where each goes."""

from __future__ import annotations

from pathlib import Path

from ganvas.bulk import require_outside
from ganvas.errors import InputError
from ganvas.image.files import IMAGE_SUFFIXES, tell_repeated
from ganvas.image.folders import list_folder
from ganvas.inference.target import names_file

__all__ = ["find_sources"]


def find_sources(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    """Name -> (file, where its result goes, None for no picture), of all that a person would think is redacted.

    Args:
        source: a picture, or a folder.
        out: a folder, or for one picture also a file name.
        aside: files that lie in the folder and are no part of it, resolved.

    Raises:
        InputError: there is none, an original would be written over, or `out` has an ending that is no format.
    """
    if source.is_dir():
        return _of_folder(source, out, aside)
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder")
    target = out if names_file(out) else out / source.name
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original; give another name")
    return {source.name: (source, _target(source, target))}


def _of_folder(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    require_outside(out, source)
    root = source.resolve()
    aside = {path for path in {*aside, out.resolve()} if not root.is_relative_to(path)}
    listing = list_folder(source)
    tell_repeated(source, listing)
    inside = [path.relative_to(source) for path in listing.files if _counts(path, aside)]
    if not inside:
        raise InputError(f"{source}: no files in it")
    return {path.as_posix(): (source / path, _target(path, out / path)) for path in inside}


def _counts(path: Path, aside: set[Path]) -> bool:
    return not any(path.resolve().is_relative_to(other) for other in aside)


def _target(path: Path, target: Path) -> Path | None:
    return target if path.suffix.lower() in IMAGE_SUFFIXES else None
