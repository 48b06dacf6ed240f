"""Keyed hashes of originals, which tell the owner of the key alone whether a picture has changed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ganvas.image.files import open_regular
from ganvas.weights import cache_folder

__all__ = ["hash_file", "keyed_hash", "read_or_make_key"]

NAME = "redaction.key"
SIZE = 32
"""Bytes."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keyed_hash(path: Path, key: bytes) -> str:
    """Return the HMAC-SHA256 of a file's SHA-256, in hexadecimal: without the key nobody can confirm a guess."""
    return hmac.digest(key, bytes.fromhex(hash_file(path)), "sha256").hex()


def read_or_make_key() -> bytes:
    """Return the user's key, made at first use in the cache folder with mode 600.

    Where the folder cannot be written the key is of this process alone, and a later run redacts its pictures anew.
    """
    path = cache_folder() / NAME
    with contextlib.suppress(OSError):
        if not path.exists():
            _make(path)
        if len(key := path.read_bytes()) == SIZE:
            return key
    return secrets.token_bytes(SIZE)


def _make(path: Path) -> None:
    """Write a whole key; where another process was faster, its key stays."""
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}{path.suffix}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SIZE))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
