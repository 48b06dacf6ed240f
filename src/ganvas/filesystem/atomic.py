"""Atomic file writes, and removal of leftover temporary files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "append_line",
    "atomic_file",
    "is_leftover",
    "remove_unfinished_line",
    "sweep",
    "temporary_beside",
    "write_bytes",
    "write_json",
    "write_text",
]

TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
"""Name of a temporary file: a dot, the target's stem, the writer's process id, eight random digits, the suffix."""
STEM_BYTES = 64
"""Largest part of the target's stem in the name of a temporary file, in bytes; file systems allow names of 255."""
_in_progress: set[str] = set()
"""Names of the temporary files and folders that this process is writing."""


def temporary_path(path: Path) -> Path:
    """Return a new temporary path beside `path`, with the same suffix."""
    return path.with_name(f".{_start_of(path.stem)}.{os.getpid():08x}{secrets.token_hex(4)}{path.suffix}")


def is_leftover(name: str) -> bool:
    """Return whether this is the name of a temporary file or folder from a process that no longer runs.

    A process on another machine counts as ended, so remove what has this name only under a lock.
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
    with temporary_beside(path) as temporary:
        try:
            yield temporary
            _flush_file(temporary)
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a new temporary path, which this process does not take for a leftover while the block lasts."""
    temporary = temporary_path(path)
    _in_progress.add(temporary.name)
    try:
        with naming(path, temporary):
            yield temporary
    finally:
        _in_progress.discard(temporary.name)


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


def remove_unfinished_line(path: Path) -> None:
    """Remove the last line of a file if it has no end, as an interruption or a full disk leaves it."""
    if not path.exists():
        return
    whole, newline, unfinished = path.read_bytes().rpartition(b"\n")
    if unfinished:
        with path.open("r+b") as file:
            file.truncate(len(whole + newline))


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
    the output folder is locked (`locks.claimed`).

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
