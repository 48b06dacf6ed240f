"""Whether what is given for the result of one picture is the picture's file or a folder."""

from __future__ import annotations

from pathlib import Path

from ganvas.errors import InputError
from ganvas.image.files import IMAGE_SUFFIXES

__all__ = ["names_file"]


def names_file(out: Path) -> bool:
    """Whether `out` is the name of a picture; else it is a folder, there already or to be made.

    Raises:
        InputError: it has the ending of a file, and of none that can be written.
    """
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() in IMAGE_SUFFIXES:
        return True
    known = ", ".join(sorted(IMAGE_SUFFIXES))
    raise InputError(f"{out}: {out.suffix} cannot be written; give one of {known}, or make a folder of that name first")
