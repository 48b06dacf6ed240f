"""Locks on output folders: one process at a time writes into a folder whose journal it continues.

The lock is on the folder itself (`flock` of its descriptor), so it leaves no file behind. If a file system cannot lock
folders (Windows, NFS), a hidden file in the folder is locked and removed afterwards. The operating system releases
either lock when the process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ganvas.errors import InputError
from ganvas.filesystem.atomic import sweep

__all__ = ["FolderInUse", "claimed", "swept_beside"]

LOCK_NAME = ".ganvas.lock"
"""File that is locked if the folder cannot be."""
PATIENCE = 40
"""Attempts to share a folder, 50 ms apart: another process may hold it briefly to remove leftovers."""


class FolderInUse(InputError):
    """Another process writes into the output folder."""


@contextmanager
def claimed(folder: Path, *, beside: Iterable[Path] = (), tensors: bool = False) -> Iterator[None]:
    """Lock an output folder exclusively, and remove temporary files of killed processes.

    The folder is created if missing, and removed if it is still empty at the end.

    Args:
        folder: the output folder.
        beside: further folders to sweep, such as those of the targets below it.
        tensors: see `sweep`.

    Raises:
        FolderInUse: another process holds it.
        OSError: it cannot be created or opened.
    """
    with _made(folder), _locked(folder, alone=True):
        sweep({folder, *beside}, tensors=tensors)
        yield


@contextmanager
def swept_beside(folder: Path) -> Iterator[None]:
    """Share the folder of a single output file with other such commands, but not with one that holds it exclusively.

    The first of them removes leftovers. The folder is created if missing, and removed if it is still empty at the end.

    Raises:
        FolderInUse: another process holds the folder exclusively.
    """
    with _made(folder):
        with contextlib.suppress(FolderInUse), claimed(folder):
            pass
        with _locked(folder, alone=False):
            yield


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Remove the folders that did not exist before and are empty at the end."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            try:
                path.rmdir()
            except OSError:  # not empty, or removed by another process
                break


@contextmanager
def _locked(folder: Path, *, alone: bool) -> Iterator[None]:
    try:
        held, descriptor = folder, _acquire(folder, folder, alone=alone)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        held = folder / LOCK_NAME
        descriptor = _acquire(folder, held, alone=alone)
    try:
        yield
    finally:
        if held != folder and alone:
            _remove_lock_file(held)
        _unlock(descriptor)
        os.close(descriptor)


def _acquire(folder: Path, held: Path, *, alone: bool) -> int:
    """Return an open descriptor of `held`, the folder or the file in it, that holds the lock."""
    for attempt in range(1 if alone else PATIENCE):
        if attempt:
            time.sleep(0.05)
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(held, os.O_RDONLY if held == folder else os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(descriptor, alone=alone)
                if os.path.samestat(os.fstat(descriptor), held.stat()):
                    return descriptor
            except (BlockingIOError, PermissionError):
                os.close(descriptor)
                break
            except FileNotFoundError:  # the process that made the empty folder has removed it
                os.close(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                os.close(descriptor)
    raise FolderInUse(f"{folder} is in use by another ganvas process: wait for it to end, or give another folder")


if sys.platform == "win32":
    import msvcrt

    UNABLE = {errno.EACCES, errno.EISDIR}

    def _lock(descriptor: int, *, alone: bool) -> None:
        """Lock the first byte; there is no shared lock, so commands that share a folder wait for one another."""
        del alone
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _remove_lock_file(path: Path) -> None:
        """Do nothing: an open file cannot be removed."""
else:
    import fcntl

    UNABLE = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
    """Error numbers of file systems that cannot lock a folder."""

    def _lock(descriptor: int, *, alone: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        """Release the lock, also in child processes that inherited the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _remove_lock_file(path: Path) -> None:
        path.unlink(missing_ok=True)
