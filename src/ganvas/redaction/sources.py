"""Which files a redaction is about, and where each goes."""

from __future__ import annotations

from pathlib import Path

from ganvas.errors import InputError
from ganvas.image.files import IMAGE_SUFFIXES
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
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the folder of the originals; give another one")
    aside = {path for path in {*aside, out.resolve()} if source.resolve() in path.parents}
    inside = [path.relative_to(source) for path in sorted(source.rglob("*")) if _counts(path, source, aside)]
    if not inside:
        raise InputError(f"{source}: no files in it")
    return {path.as_posix(): (source / path, _target(path, out / path)) for path in inside}


def _counts(path: Path, folder: Path, aside: set[Path]) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden and not any(path.resolve().is_relative_to(other) for other in aside)


def _target(path: Path, target: Path) -> Path | None:
    return target if path.suffix.lower() in IMAGE_SUFFIXES else None
