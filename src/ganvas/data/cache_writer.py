"""Cache writer: opens the cache of a split, or decodes and gates its pictures on all cores and writes them in order.

The key of a cache is a hash of everything that determines its content, so a changed file or setting leads to a new
cache. A cache is published by renaming a finished folder, so it is either complete or absent. Deleting a cache is
always safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from ganvas.content_gate import gate
from ganvas.data.cache import CHECKS_NAME, CHECKSUM_TYPE, FORMAT, INDEX_NAME, SHAPE_TYPE, Cache, checksum
from ganvas.data.config import DataConfig
from ganvas.data.decode import Decoded, admitted, decode, evaluation_size, remarks_on, warn_of_opacity
from ganvas.data.films import SCAN_VERSION, FilmEntries, warn_of_no_validation
from ganvas.data.layouts import (
    BOTH,
    Entries,
    Entry,
    Layout,
    SideName,
    Split,
    find_entries,
    find_layout,
    is_unsplit,
    some_names,
)
from ganvas.errors import DataError, ImageError, PolicyRefusal
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.locks import hidden_folder
from ganvas.filesystem.paths import using_cache
from ganvas.hardware.threads import core_count
from ganvas.image.files import PictureWarning
from ganvas.image.picture import Pixels
from ganvas.progress import SILENT, Progress

__all__ = ["build_cache"]

Kind = tuple[str, int]
"""Sample type and number of channels."""
Pictures = Entries | list[Entry] | FilmEntries
Item = TypeVar("Item")
Made = TypeVar("Made")


def build_cache(
    config: DataConfig, split: Split, folder: Path, *, num_frames: int = 1, progress: Progress = SILENT
) -> Cache:
    """Open the cache of a split in `folder` if it exists and the content gate still admits it, else build it.

    Every picture passes the gate before it is written; refused pairs, or pictures of unpaired sides, are excluded and
    listed, and their share is computed over both sides. Concurrent processes get the same cache; to decode only once,
    let one of them build it first.

    Args:
        config: location and size of the pictures.
        split: train is cached at load_size, val and test at evaluation_size.
        folder: folder of all caches; created if missing.
        num_frames: number of frames in a window; the window of a still picture repeats the picture.
        progress: receives the progress of a build, and can cancel it.

    Raises:
        Cancelled: by `progress`; no files remain.
        DataError: pictures cannot be found, read or used together; the message names them.
        InputError: another user's cache cannot be read or replaced.
        PolicyRefusal: too many are refused.
    """
    layout = find_layout(config, split)
    plan = _Plan(config, split, layout, find_entries(config, split), num_frames if layout == "single" else 1)
    home, pictures = folder / plan.key, plan.pictures(progress)
    # 1. Use an existing cache: its key shows that no file or setting has changed. Only the gate may have.
    cached = _open_if_valid(home, config)
    if cached is None or not _is_still_admitted(cached, pictures):
        with using_cache(folder):
            # 2. Write into a hidden folder of this process, because others may be building the same cache.
            folder.mkdir(parents=True, exist_ok=True)
            with hidden_folder(home) as temporary:
                # 3. Remove a cache that is damaged or no longer admitted, since it would block the rename in step 4.
                with suppress(FileNotFoundError):
                    home.rename(temporary.parent / "replaced")
                _Writer(temporary, plan, pictures).write(progress)
                # 4. Publish by renaming, which is atomic, so that no process ever opens an incomplete cache.
                _publish(temporary, home)
            cached = Cache(home, config)
    cached.require_reducible(config)
    _warn_of_remarks(home, split)
    if split == "train":
        warn_of_no_validation(config)
    return cached


@dataclass(frozen=True)
class _Plan:
    """Everything that determines the content of a cache."""

    config: DataConfig
    split: Split
    layout: Layout
    entries: Entries | list[Entry]
    num_frames: int

    @property
    def has_films(self) -> bool:
        """Return whether some entries are films."""
        return any(entry.film for entry in self.entries)

    def pictures(self, progress: Progress) -> Pictures:
        """Return the entries, with films replaced by their frames."""
        if not self.has_films:
            return self.entries
        return FilmEntries(self.entries, self.config, self.split, num_frames=self.num_frames, progress=progress)

    @property
    def key(self) -> str:
        """Return the name of the cache's folder."""
        config = self.config
        size = config.load_size if self.split == "train" else evaluation_size(config)
        shown = None if config.resize == "none" else size
        settings: list[object] = [FORMAT, self.layout, config.resize, shown, config.value_range]
        real = cache(os.path.realpath)  # resolve links once for all files of a folder
        if self.has_films:
            settings += [SCAN_VERSION, config.frame_step, self.split if is_unsplit(config) else None]
        if self.num_frames > 1:
            settings.append(f"{self.num_frames} frames")
        digest = hashlib.sha256(json.dumps([settings, gate.THRESHOLD, gate.VIEWS_VERSION]).encode())
        # Files are identified by name, size and time; hashing their content would read all of it at each start.
        for entry in self.entries:
            digest.update(json.dumps([entry.name, *(_fingerprint(file, real) for file in entry.files)]).encode())
        return digest.hexdigest()[:32]


def _fingerprint(file: Path, real: Callable[[str], str]) -> list[str | int]:
    """Return the location, size and modification time of a file."""
    folder, name = os.path.split(file)
    status = file.stat()
    return [real(folder), name, status.st_size, status.st_mtime_ns]


def _warn_of_remarks(home: Path, split: Split) -> None:
    """Issue the remarks on the pictures of a new or existing cache as warnings."""
    for remark in json.loads((home / INDEX_NAME).read_text(encoding="utf-8")).get("remarks", ()):
        warnings.warn(f"{split}: {remark}", PictureWarning, stacklevel=3)


def _open_if_valid(home: Path, config: DataConfig) -> Cache | None:
    """Return the cache in `home`, or None if it is missing or damaged."""
    try:
        return Cache(home, config)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        return None


def _is_still_admitted(there: Cache, entries: Iterable[Entry]) -> bool:
    """Return whether the current gate still admits the first picture; a gate that refuses must refuse caches too."""
    refused = {refusal.name for refusal in there.refusals}
    try:
        admitted(next(entry for entry in entries if entry.label not in refused))
    except PolicyRefusal:
        return False
    return True


def _publish(temporary: Path, home: Path) -> None:
    """Publish the finished folder by renaming; if another process was faster, keep its folder."""
    try:
        temporary.rename(home)
    except OSError:
        if not home.exists():
            raise


@cache
def _kind(dtype: str, channels: int) -> Kind:
    """Return the same object for the same arguments, to save memory."""
    return dtype, channels


@dataclass
class _SideWriter:
    """Open files and index entries of one side; shapes are (C, H, W), with `num_frames` pictures along the channels."""

    file: BinaryIO
    shapes: BinaryIO
    sums: BinaryIO
    num_frames: int
    names: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    highest: int = 0

    def append(self, name: str, planes: Pixels) -> None:
        self.file.write(planes.data)
        self.shapes.write(np.array(planes.shape, dtype=SHAPE_TYPE).tobytes())
        self.sums.write(np.array(checksum(planes), dtype=CHECKSUM_TYPE).tobytes())
        self.names.append(name)
        self.kinds.append(_kind(planes.dtype.name, len(planes) // self.num_frames))

    def close(self) -> None:
        for file in (self.file, self.shapes, self.sums):
            file.flush()
            os.fsync(file.fileno())
            file.close()


class _Writer:
    """Writer of the files of a cache.

    Args:
        folder: output folder.
        plan: what to write.
        pictures: the plan's entries, with films replaced by their frames.
    """

    def __init__(self, folder: Path, plan: _Plan, pictures: Pictures) -> None:
        self._folder, self._plan, self._pictures = folder, plan, pictures
        self._sides = {
            side: _SideWriter(
                file=(folder / f"{side}.bin").open("wb"),
                shapes=(folder / f"{side}.shapes").open("wb"),
                sums=(folder / f"{side}.sums").open("wb"),
                num_frames=plan.num_frames,
            )
            for side in (("b",) if plan.layout == "single" else BOTH)
        }
        self._refusals: list[PolicyRefusal] = []
        self._problems: dict[str, str] = {}
        self._notes = Counter[str]()
        self._num_with_opacity = 0

    def write(self, progress: Progress) -> None:
        """Decode, gate, resize and write all entries, in order.

        Raises:
            DataError: some pictures cannot be used, or not together; the message names them.
            PolicyRefusal: too many are refused.
        """
        entries, config, split = self._pictures, self._plan.config, self._plan.split
        read = partial(decode, config=config, split=split, num_frames=self._plan.num_frames)
        # 1. Decode and gate on all cores; write in order, so that the cache does not depend on timing. Problems are
        #    collected, so that one run names all bad files, but refusals end it once they are too many.
        try:
            # Closed here, not by the garbage collector: its threads must end before the folder is removed.
            with closing(_in_order(read, entries)) as made:
                for done, (entry, decoded) in enumerate(made, start=1):
                    progress.check()
                    self._take(entry, decoded)
                    gate.check_share(self._refusals, len(entries))
                    progress(f"read {split}", done, len(entries))
        finally:
            for side in self._sides.values():
                side.close()
        # 2. Require that the pictures can be used together: only now is the most common kind known.
        one_range = config.value_range is not None
        self._check(len(entries), one_range=one_range)
        # 3. Write the index, then the checksums that detect damage to it. Each picture has its own checksum, verified
        # at its first read: verifying all of them here or at each start would read the whole file.
        highest = {} if one_range else {f"side {name}": side.highest for name, side in self._sides.items()}
        write_json(self._folder / INDEX_NAME, self._record() | {"remarks": remarks_on(self._notes, highest)})
        described = [INDEX_NAME, *(f"{side}.{part}" for side in self._sides for part in ("shapes", "sums"))]
        checks = {name: zlib.crc32((self._folder / name).read_bytes()) for name in described}
        write_json(self._folder / CHECKS_NAME, checks)
        warn_of_opacity(self._num_with_opacity, split)

    def _take(self, entry: Entry, decoded: Future[Decoded]) -> None:
        try:
            ready = decoded.result()
            for side, planes, highest in zip(entry.sides, ready.planes, ready.highest, strict=True):
                self._sides[side].append(entry.name, planes)
                self._sides[side].highest = max(self._sides[side].highest, highest)
            self._notes.update(ready.notes)
            self._num_with_opacity += ready.num_with_opacity
        except PolicyRefusal as refusal:
            self._refusals.append(refusal)
        except (ImageError, DataError) as error:
            self._problems[entry.label] = str(error)

    def _record(self) -> dict[str, Any]:
        sides: dict[SideName, dict[str, Any]] = {}
        transfer = self._pictures.transfer if isinstance(self._pictures, FilmEntries) else None
        for name, side in self._sides.items():
            alike = next((other for other in sides if self._sides[other].names == side.names), None)
            names = {"names_of": alike} if alike else {"names": side.names}
            sides[name] = {"dtype": side.kinds[0][0], **names} | ({"transfer": transfer} if transfer else {})
        windows = {"num_frames": self._plan.num_frames} if self._plan.num_frames > 1 else {}
        refusals = [refusal.as_record() for refusal in self._refusals]
        return {"format": FORMAT, "sides": sides, "refusals": refusals} | windows

    def _check(self, total: int, *, one_range: bool) -> None:
        """Raise DataError if pictures cannot be used, or not together."""
        if self._problems:
            what = "pairs" if self._plan.config.paired and self._plan.layout != "single" else "pictures"
            lines = [f"\n  {name}: {problem}" for name, problem in self._problems.items()]
            more = f"\n  and {len(lines) - 10} more" if len(lines) > 10 else ""
            raise DataError(f"{len(lines)} of {total} {what} cannot be used:{''.join(lines[:10])}{more}")
        for name, side in self._sides.items():
            if not side.names:
                raise DataError(f"side {name}: the content gate refused every picture; replace the pictures of {name}")
            _check_alike(side, "pictures" if self._plan.layout == "single" else f"side {name}")
        if one_range and len({side.kinds[0][0] for side in self._sides.values()}) > 1:
            raise DataError("one value_range cannot fit two sides of different sample types; convert one of them")


def _check_alike(side: _SideWriter, what: str) -> None:
    """Require one type and number of channels within a side; gray counts as RGB if most are RGB."""
    usual = Counter(side.kinds).most_common(1)[0][0]
    if usual[1] in (1, 3) and (usual[0], 3) in side.kinds:
        usual = (usual[0], 3)
    fitting = {usual, (usual[0], 1)} if usual[1] == 3 else {usual}
    odd = [
        f"{own} ({dtype}, {count} channels)"
        for own, (dtype, count) in zip(side.names, side.kinds, strict=True)
        if (dtype, count) not in fitting
    ]
    if odd:
        known = f"{usual[0]} with {usual[1]} channels"
        raise DataError(f"{what}: most are {known}, but {len(odd)} are not; convert or remove: {some_names(odd)}")


def _in_order(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[tuple[Item, Future[Made]]]:
    """Yield each item and its result in order, computed on all cores.

    Few results are computed ahead, so that memory does not grow with the data set when one item is slow.
    """
    workers = core_count()
    with ThreadPoolExecutor(workers, "ganvas-decode") as pool:
        waiting: deque[tuple[Item, Future[Made]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(make, item)))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()
