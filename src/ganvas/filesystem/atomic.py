"""Atomic file writes, removal of leftover temporary files, and locks on output folders.

One process at a time writes into a folder whose journal it continues. The lock is on the folder itself (`flock` of its
descriptor), so it leaves no file behind. If a file system cannot lock folders (Windows, NFS), a hidden file in the
folder is locked and removed afterwards. The operating system releases either lock when the process ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ganvas.errors import InputError

__all__ = [
    "FolderInUse",
    "append_line",
    "atomic_file",
    "claimed",
    "hidden_folder",
    "is_leftover",
    "sweep",
    "swept_beside",
    "write_bytes",
    "write_json",
    "write_text",
]

TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
"""Name of a temporary file: a dot, the target's stem, the writer's process id, eight random digits, the suffix."""
STEM_BYTES = 64
"""Largest part of the target's stem in the name of a temporary file, in bytes; file systems allow names of 255."""
_in_progress: set[str] = set()
"""Names of the temporary files that this process is writing."""


def temporary_path(path: Path) -> Path:
    """Return a new temporary path beside `path`, with the same suffix."""
    return path.with_name(f".{_start_of(path.stem)}.{os.getpid():08x}{secrets.token_hex(4)}{path.suffix}")


def is_leftover(name: str) -> bool:
    """Return whether a file of this name is a temporary file of `atomic_file` from a process that no longer runs.

    A process on another machine counts as ended, so call this only while the folder is locked.
    """
    found = TEMPORARY.fullmatch(name)
    return found is not None and name not in _in_progress and not _runs(int(found[1], 16))


def _runs(process: int) -> bool:
    """Return whether another process with this id runs on this machine."""
    if process in (0, os.getpid()) or os.name != "posix":  # on Windows, signal 0 would terminate the process
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` when the block ends without an error.

    The temporary file is hidden in the same folder (created if missing) and has the same suffix. An exception or an
    interrupt inside the block removes it and leaves the previous file at `path` unchanged.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    _in_progress.add(temporary.name)
    try:
        with naming(path, temporary):
            yield temporary
            _flush_file(temporary)
            temporary.replace(path)
            _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        _in_progress.discard(temporary.name)


@contextmanager
def hidden_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder beside `path`, removed at the end; first removes those of killed processes."""
    for left in [one for one in path.parent.iterdir() if is_leftover(one.name)]:
        shutil.rmtree(left, ignore_errors=True)  # a file with this name is an error and is kept
    folder = temporary_path(path)
    _in_progress.add(folder.name)
    try:
        with naming(path, folder):
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _in_progress.discard(folder.name)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Set `path` as the file of an OSError without a file (such as a full disk) or with a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename).startswith(str(temporary))):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file atomically; line ends are not converted."""
    write_bytes(path, _encoded(text))


def write_json(path: Path, record: object) -> None:
    """Write a JSON file atomically, indented, strict (NaN and infinity raise ValueError)."""
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append one line to a log and flush it to disk before returning.

    A line that an earlier process left unfinished is terminated first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("ab+") as log:
        start = b"" if _ends_with_newline(path) else b"\n"
        log.write(start + _encoded(line) + b"\n")
        log.flush()
        os.fsync(log.fileno())


def _start_of(stem: str) -> str:
    """Return at most STEM_BYTES bytes of a name, in whole characters."""
    while len(os.fsencode(stem)) > STEM_BYTES:
        stem = stem[:-1]
    return stem


def _encoded(text: str) -> bytes:
    r"""Encode as UTF-8; bytes of a file name that are not UTF-8 become \udcXX, from which JSON restores the name."""
    return text.encode(errors="backslashreplace")


def _ends_with_newline(path: Path) -> bool:
    """Return whether a log is empty or its last line is complete."""
    with path.open("rb") as log:
        if log.seek(0, os.SEEK_END) == 0:
            return True
        log.seek(-1, os.SEEK_END)
        return log.read(1) == b"\n"


def _flush_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush a rename in a folder to disk; only POSIX systems open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


SAFETENSORS_TEMPORARY = re.compile(r"\.tmp[A-Za-z0-9]{6}")
"""The name under which safetensors writes a file before it renames it."""


def sweep(folders: Iterable[Path], *, tensors: bool = False) -> None:
    """Remove temporary files of killed processes from folders, skipping folders that do not exist.

    Only files named by `temporary_path` are removed, and none that a running process is writing. Call it while
    the output folder is locked (`claimed`).

    Args:
        folders: folders to search, without subfolders.
        tensors: also remove temporary files of safetensors; only for run folders, which contain no similar names.
    """
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            found = [entry.path for entry in entries if _is_ours(entry, tensors=tensors)]
            for path in found:
                Path(path).unlink(missing_ok=True)


def _is_ours(entry: os.DirEntry[str], *, tensors: bool) -> bool:
    if not entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
        return False
    return is_leftover(entry.name) or (tensors and SAFETENSORS_TEMPORARY.fullmatch(entry.name) is not None)


LOCK_NAME = ".ganvas.lock"
"""File that is locked if the folder cannot be."""
PATIENCE = 40
"""Number of attempts to share a folder, 50 ms apart: another process may lock it briefly to remove leftovers."""


class FolderInUse(InputError):
    """Another process writes into the output folder."""


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
        if held != folder and alone:
            _remove_lock_file(held)
        _unlock(descriptor)
        os.close(descriptor)


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
