"""Locks on output folders, and hidden folders for temporary files.

One process at a time writes into a folder whose journal it continues. The lock is on the folder itself (`flock` of its
descriptor), so it leaves no file behind. If a file system cannot lock folders (Windows, NFS), a hidden file in the
folder is locked and removed afterwards. The operating system releases either lock when the process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ganvas.errors import InputError
from ganvas.filesystem.atomic import is_leftover, sweep, temporary_beside

__all__ = ["FolderInUse", "claimed", "contents_of", "hidden_folder", "swept_beside"]

LOCK_NAME = ".ganvas.lock"
"""File that is locked if the folder cannot be; a killed process leaves it behind."""
PATIENCE = 40
"""Number of attempts to share a folder, 50 ms apart: another process may lock it briefly to remove leftovers."""


class FolderInUse(InputError):
    """Another process writes into the output folder."""


def contents_of(folder: Path) -> list[Path]:
    """Return the entries of a folder without its lock file, sorted."""
    return sorted(path for path in folder.iterdir() if path.name != LOCK_NAME)


@contextmanager
def claimed(folder: Path, *, beside: Iterable[Path] = (), tensors: bool = False) -> Iterator[None]:
    """Lock an output folder exclusively, and remove temporary files of killed processes.

    The folder is created if missing, and removed if it is still empty at the end.

    Args:
        folder: the output folder.
        beside: further folders to sweep, such as subfolders with targets.
        tensors: see `sweep`.

    Raises:
        FolderInUse: another process has locked it.
        OSError: it cannot be created or opened.
    """
    with _made(folder), _locked(folder, alone=True):
        sweep({folder, *beside}, tensors=tensors)
        yield


@contextmanager
def swept_beside(folder: Path) -> Iterator[None]:
    """Share the folder of a single output file with other such commands, but not with an exclusive lock.

    The first command removes leftovers. The folder is created if missing, and removed if it is still empty at the end.

    Raises:
        FolderInUse: another process has locked the folder exclusively.
    """
    with _made(folder):
        with contextlib.suppress(FolderInUse), claimed(folder):
            pass
        with _locked(folder, alone=False):
            yield


@contextmanager
def hidden_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder in a locked hidden one beside `path`, removed at the end; first removes those left behind.

    The lock also protects it from processes that cannot see this one: on another machine, or in another container.
    """
    for left in [one for one in path.parent.iterdir() if is_leftover(one.name)]:
        with contextlib.suppress(OSError, FolderInUse):  # it is locked, or a file, which is kept
            with _locked(left, alone=True):
                shutil.rmtree(left, ignore_errors=True)
            left.rmdir()  # Windows keeps the folder of an open file
    with temporary_beside(path) as folder:
        try:
            with _locked(folder, alone=True):
                staged = folder / path.name  # without the lock file, so that it can be renamed to `path`
                staged.mkdir()
                yield staged
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Remove the folders that did not exist before and are empty at the end."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty, or removed by another process
            for path in missing:
                path.rmdir()


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
        _release(descriptor, None if held == folder else held)


def _acquire(folder: Path, held: Path, *, alone: bool) -> int:
    """Lock `held`, the folder or the file in it, and return its open descriptor."""
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
            except FileNotFoundError:  # the process that created the empty folder has removed it
                os.close(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                os.close(descriptor)
    raise FolderInUse(f"{folder} is in use by another ganvas process: wait for it to end, or use another folder")


if sys.platform == "win32":
    import msvcrt

    UNABLE = {errno.EACCES, errno.EISDIR}

    def _lock(descriptor: int, *, alone: bool) -> None:
        """Lock the first byte; there is no shared lock, so commands that share a folder wait for one another."""
        del alone
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _release(descriptor: int, lock_file: Path | None) -> None:
        """Release the lock, close its file and remove it; a file that another process has open cannot be removed."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        os.close(descriptor)
        if lock_file is not None:
            with contextlib.suppress(OSError):
                lock_file.unlink()
else:
    import fcntl

    UNABLE = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
    """Error numbers of file systems that cannot lock a folder."""

    def _lock(descriptor: int, *, alone: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    def _release(descriptor: int, lock_file: Path | None) -> None:
        """Release the lock, also in child processes that inherited the descriptor, and remove its file.

        Only the holder of an exclusive lock removes the file, so the last of the processes that share it does.
        """
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        if lock_file is not None:
            with contextlib.suppress(OSError):  # another process has locked it, or has removed it
                _lock(descriptor, alone=True)
                if os.path.samestat(os.fstat(descriptor), lock_file.stat()):
                    lock_file.unlink()
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
