"""Cache folder, file hashes, and the secret key of a user for keyed hashes (HMAC)."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

__all__ = ["KEY_SIZE", "cache_folder", "read_or_make_key", "sha256_of"]


def cache_folder() -> Path:
    """Return $GANVAS_CACHE, else the platform's folder for caches with `ganvas` in it; created if missing."""
    if given := os.environ.get("GANVAS_CACHE"):
        folder = Path(given)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ganvas" / "cache"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "ganvas"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganvas"  # set but empty is unset
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


KEY_SIZE: Final = 32
"""Bytes."""


def read_or_make_key(path: Path) -> bytes | None:
    """Return the user's key, made where there is none; None where it cannot be read or kept.

    A key that others may read or write, or of another size, is replaced: what was made with it counts no more.

    Raises:
        OSError: a new key cannot be written.
    """
    for _ in range(2):
        try:
            if (found := _read_key(path)) is not None:
                return found
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            return None
        _make_key(path)
    return None


def _read_key(path: Path) -> bytes | None:
    """Return the key, or None where it may not be used.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        content = file.read(KEY_SIZE + 1)
    private = os.name != "posix" or (
        status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0 and status.st_uid == os.geteuid()
    )
    return content if private and len(content) == KEY_SIZE else None


def _make_key(path: Path) -> None:
    """Write a new key whole, with mode 600; where another process was faster, its key stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
        try:
            os.link(temporary, path)  # unlike a rename, replaces nothing
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
