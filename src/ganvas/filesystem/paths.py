"""Path utilities: checks that no output is an input, name comparison, cache folder, and HMAC key.

macOS returns names decomposed (NFD: e + combining acute), most programs write them composed (NFC: one letter), and the
two look the same. Names in pairs, masks, boxes and split files are therefore compared in one normal form. Files keep
their names.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from ganvas.errors import InputError

__all__ = [
    "ACCEPTED",
    "KEY_SIZE",
    "as_paths",
    "cache_folder",
    "files_in",
    "lies_in",
    "match_names",
    "name_key",
    "read_or_make_key",
    "require_apart",
    "require_outside",
    "sha256_of",
    "using_cache",
]

Identity = tuple[int, int]
"""Device and inode of a file, which are the same for symbolic links and hard links to it."""


ACCEPTED: Final[dict[Any, Any]] = {
    Path: Path | str,
    Path | None: Path | str | None,
    tuple[Path, ...]: Path | str | Iterable[Path | str],
}
"""Type of a config's field with paths -> type of the arguments that `as_paths` converts to it."""


def as_paths(value: Any, kind: Any) -> Any:
    """Return an argument for a field of type `kind`, with strings as paths, and one path as a tuple if it needs one."""
    if kind not in ACCEPTED or value is None:
        return value
    if kind != tuple[Path, ...]:
        return Path(value)
    return (Path(value),) if isinstance(value, str | os.PathLike) else tuple(map(Path, value))


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
            f"{', '.join(over[:3])}{more} would be overwritten, and this command reads it; use another output folder"
        )


def require_outside(out: Path, *sources: Path) -> None:
    """Raise if an output folder is a source folder or inside one, since the next command would read the results.

    Args:
        out: output folder; need not exist.
        sources: folders whose files are read.

    Raises:
        InputError: names both, and the remedy.
    """
    for source in sources:
        if lies_in(out, source):
            raise InputError(
                f"{out} is inside {source}, whose pictures are read, so originals and results would mix; use an "
                "output folder outside it"
            )


def lies_in(path: Path, folder: Path) -> bool:
    """Return whether a path equals or is inside a folder, with links resolved; neither needs to exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))  # links to themselves are not an error


def _existing(targets: Iterable[Path]) -> dict[Identity | None, Path]:
    """Return identity -> target for the existing targets; raise if two are the same file."""
    there: dict[Identity | None, Path] = {}
    places = dict[tuple[str, str], Path]()
    real = cache(os.path.realpath)  # resolve each folder once for all files in it
    for target in targets:
        if identity := _identity(target):
            there[identity] = target
        if (other := places.setdefault((real(target.parent), target.name), target)) != target:
            raise InputError(f"{target} and {other} are the same file through a link; use a folder without such links")
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


def cache_folder() -> Path:
    """Return $GANVAS_CACHE, else `ganvas` in the platform's cache folder; created if missing."""
    if given := os.environ.get("GANVAS_CACHE"):
        folder = Path(given)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ganvas" / "cache"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "ganvas"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganvas"  # empty counts as unset
    folder.mkdir(parents=True, exist_ok=True)
    return folder


FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
"""System errors of missing permissions and of read-only file systems."""


@contextmanager
def using_cache(folder: Path) -> Iterator[None]:
    """Convert an error of missing permissions in a cache folder, which users may share, to one with the remedy.

    Raises:
        InputError: the user may not read, write or remove a file in the folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FORBIDDEN or error.filename is None or not lies_in(Path(error.filename), folder):
            raise
        problem = f"{error.filename}: {error.strerror}; you may not read or replace this cache"
        raise InputError(f"{problem}: set GANVAS_CACHE to a folder of your own") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


KEY_SIZE: Final = 32
"""Size of the key in bytes."""


def read_or_make_key(path: Path) -> bytes | None:
    """Return the user's key, creating one if missing; None if it cannot be read or stored.

    A key that others may read or write, or of a different size, is replaced, which invalidates its hashes.

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
    """Return the key, or None if it must not be used.

    Raises:
        OSError: the key is missing or cannot be read.
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
    """Write a new key atomically with mode 600; if another process was faster, keep its key."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
        try:
            os.link(temporary, path)  # unlike a rename, it replaces no file
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def name_key(name: str) -> str:
    """Return a name in the normal form by which names are compared, NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def match_names(given: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return for each given name the matching one of `names`.

    A match is the only name with the same normal form; without a match or with several, the given name is returned.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name_key(name)].append(name)
    return {name: _meant(name, alike[name_key(name)]) for name in given}


def _meant(name: str, alike: list[str]) -> str:
    return alike[0] if len(alike) == 1 else name
