"""Private temporary storage of the studio: uploads, views and results under random ids, with size and age limits.

All files are in one folder that only the user can read. It is removed at the end; the next studio removes the folder of
a killed one. The page never sends a path: files are addressed by ids created here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from ganvas.errors import InputError
from ganvas.filesystem import FolderInUse, claimed

__all__ = ["Limits", "Piece", "Storage", "Upload", "opened_storage", "safe_stem", "view_path", "write_pieces"]

PREFIX = "ganvas-studio-"
LONGEST_NAME = 80
"""Largest number of characters of a name."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of uploads."""

    bytes: int = 512 * 2**20
    """Largest size of one file in bytes."""
    total_bytes: int = 4 * 2**30
    """Largest size of all files in bytes."""
    pixels: int = 64_000_000
    """Largest number of pixels of a picture or frame."""
    files: int = 200
    """Largest number of stored uploads."""
    seconds: float = 3600.0
    """Seconds without use after which an upload and its results are removed."""
    idle_seconds: float = 15.0
    """Seconds without data after which an upload is aborted."""
    upload_seconds: float = 600.0
    """Longest duration of one upload in seconds."""


@dataclass(frozen=True)
class Piece:
    """File that the page may download.

    Attributes:
        path: path of the file.
        media_type: media type for the page.
        name: suggested file name.
    """

    path: Path
    media_type: str
    name: str


@dataclass
class Upload:
    """Uploaded picture or film, with all of its results.

    Attributes:
        id: random id.
        name: name for display and downloads; safe as a file name, unique among the uploads.
        path: the file.
        facts: results of the inspection: kind, width, height, seconds and others.
        view: id of a picture that browsers can display.
        mask: painted region, a picture of which every pixel that is not black is covered.
        mask_piece: id of the mask for the page.
        review: last redaction and its sign-off; empty before the first.
        used: time of the last use on the monotonic clock.
    """

    id: str
    name: str
    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    view: str | None = None
    mask: Path | None = None
    mask_piece: str | None = None
    review: dict[str, Any] = field(default_factory=dict)
    used: float = 0.0

    def as_record(self) -> dict[str, Any]:
        """Return the description of the upload for the page, ready for JSON."""
        shown = {"id": self.id, "name": self.name, "view": self.view, "mask": self.mask_piece}
        return {**shown, "review": self.review, **self.facts}


class Storage:
    """Storage of uploads and of their results.

    Args:
        folder: folder that is private to this process.
        limits: see `Limits`.
        clock: monotonic clock in seconds.
    """

    def __init__(self, folder: Path, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.limits, self._clock = folder, limits, clock
        self._uploads: dict[str, Upload] = {}
        self._pieces: dict[str, Piece] = {}
        self._folders: dict[Path, float] = {}  # folders of jobs, with the time of their last use
        self._pending = 0
        self._lock = threading.RLock()

    def size(self) -> int:
        """Return the size of all files in bytes."""
        total = 0
        for folder, _, names in os.walk(self.folder):  # files may be removed in the meantime
            for name in names:
                with suppress(OSError):
                    total += Path(folder, name).stat().st_size
        return total

    @contextmanager
    def reserved(self) -> Iterator[Path]:
        """Yield the path for a file to receive; the file is removed if the block fails.

        Raises:
            InputError: too many files, or not enough space.
        """
        with self._lock:
            if len(self._uploads) + self._pending >= self.limits.files:
                raise InputError(f"{self.limits.files} files are already stored; remove some")
            self._pending += 1
        path = self.folder / f"{secrets.token_hex(16)}.part"
        try:
            if self.size() >= self.limits.total_bytes:
                raise InputError("the temporary folder is full; remove some files")
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            with self._lock:
                self._pending -= 1

    def add(self, path: Path, name: str, facts: dict[str, Any]) -> Upload:
        """Add a received and inspected file.

        Args:
            path: path from `reserved`.
            name: name from the page.
            facts: facts of the inspection; `suffix` names the format by content.
        """
        with self._lock:
            shown = self._free_name(safe_stem(name), facts["suffix"])
            upload = Upload(secrets.token_urlsafe(16), shown, path, facts, used=self._clock())
            self._uploads[upload.id] = upload
        return upload

    def get(self, key: str) -> Upload:
        """Return an upload, and mark it as used.

        Raises:
            KeyError: the id does not exist.
        """
        with self._lock:
            upload = self._uploads[key]
            upload.used = self._clock()
            return upload

    def all(self) -> list[Upload]:
        """Return the uploads in the order of their arrival."""
        with self._lock:
            return list(self._uploads.values())

    def remove(self, key: str) -> None:
        """Remove an upload and all of its results."""
        with self._lock:
            upload = self._uploads.pop(key)
        for path in (upload.path, view_path(upload.path)):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder / upload.id, ignore_errors=True)
        self._forget_missing()

    def work_folder(self, key: str | None = None) -> Path:
        """Return a new empty folder for a job, which is removed together with the upload `key`, if given."""
        folder = self.folder / (key or "jobs") / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        if key is None:
            with self._lock:
                self._folders[folder] = self._clock()
        return folder

    def publish(self, path: Path, media_type: str, name: str) -> str:
        """Allow the page to download a file, and return its id."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._pieces[key] = Piece(path, media_type, name)
            self._mark_used(path)
        return key

    def piece(self, key: str) -> Piece:
        """Return a published file, and mark its upload or the folder of its job as used.

        Raises:
            KeyError: the id does not exist.
        """
        with self._lock:
            piece = self._pieces[key]
            self._mark_used(piece.path)
            return piece

    def expire(self, needed: Iterable[Path] = ()) -> None:
        """Remove uploads and folders of jobs that were not used for `Limits.seconds`.

        Args:
            needed: files and folders that are in use now; their uploads and the folders of their jobs stay.
        """
        with self._lock:
            for path in needed:
                self._mark_used(path)
            limit = self._clock() - self.limits.seconds
            for upload in [one for one in self._uploads.values() if one.used < limit]:
                self.remove(upload.id)
            # The results of several uploads are in one folder, which stays as long as one of them does.
            results = [Path(one.review["path"]) for one in self._uploads.values() if one.review.get("path")]
            kept = {folder for result in results for folder in result.parents}
            for folder in [one for one, used in self._folders.items() if used < limit and one not in kept]:
                del self._folders[folder]
                shutil.rmtree(folder, ignore_errors=True)
            self._forget_missing()

    def _mark_used(self, path: Path) -> None:
        """Mark the upload or the folder of a job as used to which a file or folder belongs."""
        places, now = {path, *path.parents}, self._clock()
        for upload in self._uploads.values():
            if places & {upload.path, view_path(upload.path), self.folder / upload.id}:
                upload.used = now
        self._folders |= dict.fromkeys(places & self._folders.keys(), now)

    def _forget_missing(self) -> None:
        with self._lock:
            self._pieces = {key: piece for key, piece in self._pieces.items() if piece.path.exists()}

    def _free_name(self, stem: str, suffix: str) -> str:
        """Return a name whose stem no other upload has, since masks and results are matched by stem."""
        taken = {PurePath(one.name).stem.casefold() for one in self._uploads.values()}
        number, candidate = 2, stem
        while candidate.casefold() in taken:
            number, candidate = number + 1, f"{stem} ({number})"
        return candidate + suffix


def view_path(path: Path) -> Path:
    """Return the path of the view of an upload."""
    return path.with_suffix(".view.png")


def write_pieces(pieces: Sequence[Piece], path: Path) -> None:
    """Write published files as a ZIP file; a repeated name gets a number."""
    taken = set[str]()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for piece in pieces:
            plain = PurePath(piece.name)
            names = (plain.name if n == 1 else f"{plain.stem} ({n}){plain.suffix}" for n in count(1))
            name = next(name for name in names if name not in taken)
            taken.add(name)
            archive.write(piece.path, name)


def safe_stem(name: str) -> str:
    """Return the stem of a name from the page, without characters that are unsafe in file systems and logs."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w .()+-]", "_", PurePath(last).stem if last.strip(". ") else "").strip(". ")
    return plain[:LONGEST_NAME].strip(". ") or "picture"


@contextmanager
def opened_storage(limits: Limits) -> Iterator[Storage]:
    """Yield the storage in a new private folder, which is removed at the end; remove those of killed studios."""
    place = Path(tempfile.gettempdir())
    for old in place.glob(f"{PREFIX}*"):
        with suppress(OSError, FolderInUse), claimed(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 700
    try:
        with claimed(folder):
            yield Storage(folder, limits)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
