"""Keyed hashes of originals, which tell the owner of the key alone whether a picture has changed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from pathlib import Path

from ganvas.image.files import open_regular
from ganvas.weights import cache_folder
from ganvas.weights.cache import KEY_SIZE, read_or_make_key

__all__ = ["hash_file", "keyed_hash", "original_key"]

NAME = "redaction.key"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keyed_hash(path: Path, key: bytes) -> str:
    """Return the HMAC-SHA256 of a file's SHA-256, in hexadecimal: without the key nobody can confirm a guess."""
    return hmac.digest(key, bytes.fromhex(hash_file(path)), "sha256").hex()


def original_key() -> bytes:
    """Return the user's key for originals, made at first use in the cache folder.

    Where it cannot be kept there it is of this run alone, and a later run redacts its pictures anew.
    """
    with contextlib.suppress(OSError):
        if (key := read_or_make_key(cache_folder() / NAME)) is not None:
            return key
    return secrets.token_bytes(KEY_SIZE)
