"""Failed downloads of model files: web pages, Git LFS pointers, and compressed or empty files.

A model behind a login, a moved file and a clone without Git LFS all leave a small file under the name of the model.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["failed_download"]

LONGEST_START = 512
"""Bytes at the start of a file that are read."""
WEB_PAGES = (b"<!doctype", b"<html", b"<?xml")
LFS_POINTER = b"version https://git-lfs"
COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar", b"BZh": "bzip2"}
"""First bytes of compressed files -> name of the format."""


def failed_download(path: Path) -> str | None:
    """Return why a file is no model, with the remedy, judging by its first bytes; None if they do not tell.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST_START)
    if not start:
        return "it is empty: download the file again"
    if start.lstrip().lower().startswith(WEB_PAGES):
        return "it is a web page, so the download failed; download the file again"
    if start.startswith(LFS_POINTER):
        return "it is a Git LFS pointer instead of the file; run git lfs pull, or download the file itself"
    for first_bytes, name in COMPRESSED.items():
        if start.startswith(first_bytes):
            return f"it is compressed ({name}); unpack it and pass the file inside"
    return None
