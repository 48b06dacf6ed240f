"""Writer of cache folders: decodes and gates pictures on all cores, writes them in order."""

from __future__ import annotations

import os
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from ganvas.content_gate import gate
from ganvas.data.decode import read_sides, remarks_on
from ganvas.data.layouts import Entries, Entry, some_names
from ganvas.data.memmap import CHECKSUM_TYPE, SHAPE_TYPE, checksum
from ganvas.errors import DataError, ImageError, PolicyRefusal
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import Picture, Pixels

__all__ = ["CHECKS_NAME", "FORMAT", "INDEX_NAME", "CacheWriter", "Report", "admitted"]

FORMAT = 6
"""Version of the format, increased whenever the meaning of the content changes."""
INDEX_NAME = "index.json"
CHECKS_NAME = "checks.json"
"""CRC-32 of every file of a cache except the pictures, which have their own checksums."""
Report = Callable[[int, int], None]
"""Progress callback (pictures done, total)."""
Kind = tuple[str, int]
"""Sample type and number of channels."""
Item = TypeVar("Item")
Made = TypeVar("Made")


def admitted(entry: Entry) -> Sequence[Picture]:
    """Return the pictures of an entry, one for each side, after the content gate has admitted all of them.

    Raises:
        PolicyRefusal: one is refused.
        ImageError, DataError: a file cannot be read or used.
    """
    pictures = read_sides(entry)
    for outcome in gate.admit_many([(entry.label, picture) for picture in pictures]):
        if isinstance(outcome, PolicyRefusal):
            raise outcome
    return pictures


@cache
def _kind(dtype: str, channels: int) -> Kind:
    """Return the same object for the same arguments, to save memory."""
    return dtype, channels


@dataclass
class _SideWriter:
    """Open files and index entries of one side. Shapes are (C, H, W)."""

    file: BinaryIO
    shapes: BinaryIO
    sums: BinaryIO
    names: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    highest: int = 0

    def append(self, name: str, planes: Pixels) -> None:
        self.file.write(planes.data)
        self.shapes.write(np.array(planes.shape, dtype=SHAPE_TYPE).tobytes())
        self.sums.write(np.array(checksum(planes), dtype=CHECKSUM_TYPE).tobytes())
        self.names.append(name)
        self.kinds.append(_kind(planes.dtype.name, len(planes)))

    def close(self) -> None:
        for file in (self.file, self.shapes, self.sums):
            file.flush()
            os.fsync(file.fileno())
            file.close()


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One entry, decoded and resized to the cache size.

    Attributes:
        planes: (C, H, W) of each side, without opacity.
        num_with_opacity: number of its files with opacity.
        notes: notes on reading its files.
        highest: largest stored value of each side, 0 for types other than 16 bits.
    """

    planes: list[Pixels]
    num_with_opacity: int
    notes: tuple[str, ...]
    highest: list[int]


class CacheWriter:
    """Writer of the files of a cache.

    Args:
        folder: output folder.
        sides: names of the sides.
        fit: resizes (H, W, C) to the cache size.
        what: plural noun for entries in messages: pairs, pictures.

    Attributes:
        num_with_opacity: number of written pictures whose opacity was dropped.
    """

    def __init__(self, folder: Path, sides: Sequence[str], *, fit: Callable[[Pixels], Pixels], what: str) -> None:
        self._folder, self._fit, self._what = folder, fit, what
        self._sides = {
            side: _SideWriter(
                file=(folder / f"{side}.bin").open("wb"),
                shapes=(folder / f"{side}.shapes").open("wb"),
                sums=(folder / f"{side}.sums").open("wb"),
            )
            for side in sides
        }
        self._refusals: list[PolicyRefusal] = []
        self._problems: dict[str, str] = {}
        self._notes = Counter[str]()
        self.num_with_opacity = 0

    def write(self, entries: Entries | list[Entry], report: Report | None, *, one_range: bool) -> None:
        """Decode, gate, resize and write all entries, in order.

        Args:
            entries: the entries to write.
            report: progress callback.
            one_range: whether a value range is given, so that all sides must have one sample type.

        Raises:
            DataError: some cannot be used, or not together; the message names them.
            PolicyRefusal: too many are refused.
        """
        # 1. Decode and gate on all cores; write in order, so that the cache does not depend on timing.
        try:
            for done, (entry, decoded) in enumerate(_in_order(self._decode, entries), start=1):
                self._take(entry, decoded)
                gate.check_share(self._refusals, len(entries))
                if report is not None:
                    report(done, len(entries))
        finally:
            for side in self._sides.values():
                side.close()
        # 2. Require that the pictures can be used together.
        self._check(len(entries), one_range=one_range)
        # 3. Write the index, then the checksums by which damage to it is found.
        highest = {} if one_range else {f"side {name}": side.highest for name, side in self._sides.items()}
        write_json(self._folder / INDEX_NAME, self._record() | {"remarks": remarks_on(self._notes, highest)})
        described = [INDEX_NAME, *(f"{side}.{part}" for side in self._sides for part in ("shapes", "sums"))]
        checks = {name: zlib.crc32((self._folder / name).read_bytes()) for name in described}
        write_json(self._folder / CHECKS_NAME, checks)

    def _decode(self, entry: Entry) -> _Decoded:
        pictures = admitted(entry)
        planes = [np.ascontiguousarray(self._fit(picture.colour).transpose(2, 0, 1)) for picture in pictures]
        notes = tuple({picture.source: picture.notes for picture in pictures}.values())
        return _Decoded(
            planes,
            len({picture.source for picture in pictures if picture.has_alpha}),
            notes=tuple(note for of_file in notes for note in of_file),
            highest=[int(picture.colour.max()) if picture.spec.dtype == "uint16" else 0 for picture in pictures],
        )

    def _take(self, entry: Entry, decoded: Future[_Decoded]) -> None:
        try:
            ready = decoded.result()
            for side, planes, highest in zip(entry.sides, ready.planes, ready.highest, strict=True):
                self._sides[side].append(entry.name, planes)
                self._sides[side].highest = max(self._sides[side].highest, highest)
            self._notes.update(ready.notes)
            self.num_with_opacity += ready.num_with_opacity
        except PolicyRefusal as refusal:
            self._refusals.append(refusal)
        except (ImageError, DataError) as error:
            self._problems[entry.label] = str(error)

    def _record(self) -> dict[str, Any]:
        sides: dict[str, dict[str, Any]] = {}
        for name, side in self._sides.items():
            alike = next((other for other in sides if self._sides[other].names == side.names), None)
            sides[name] = {"dtype": side.kinds[0][0]} | ({"names_of": alike} if alike else {"names": side.names})
        return {"format": FORMAT, "sides": sides, "refusals": [refusal.as_record() for refusal in self._refusals]}

    def _check(self, total: int, *, one_range: bool) -> None:
        """Raise DataError for pictures that cannot be used, or not together."""
        if self._problems:
            listed = some_names([f"{name}: {problem}" for name, problem in self._problems.items()])
            raise DataError(f"{len(self._problems)} of {total} {self._what} cannot be used: {listed}")
        for name, side in self._sides.items():
            if not side.names:
                raise DataError(f"side {name}: the content gate left no picture; remove what {name} must not hold")
            _check_alike(side, name)
        if one_range and len({side.kinds[0][0] for side in self._sides.values()}) > 1:
            raise DataError("one value_range cannot fit two sides of different sample types; convert one of them")


def _check_alike(side: _SideWriter, name: str) -> None:
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
        raise DataError(f"side {name}: most are {known}, but {len(odd)} are not; convert or remove: {some_names(odd)}")


def _in_order(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[tuple[Item, Future[Made]]]:
    """Yield each item and its result in order, computed on all cores; only a few results are computed ahead."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
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
