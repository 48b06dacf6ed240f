"""Pictures decoded once, at the size they are trained at, into files that every process maps into its memory.

    FOLDER/<key>/index.json   names, shapes, sample types, refusals
    FOLDER/<key>/a.bin b.bin  all pictures of one side, (H, W, C) one after the other, no header

The key is a hash of everything that decides the content, so a changed file or setting makes another cache. A cache
appears by the renaming of a finished folder: it is there wholly or not at all. Deleting one is always safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ganvas import policy
from ganvas.data.config import PairedData
from ganvas.data.decode import at_cache_size, evaluation_size, read_sides
from ganvas.data.pairs import Entry, Layout, Split, find_entries, find_layout, some_names
from ganvas.errors import DataError, ImageError, PolicyRefusal
from ganvas.image.atomic import write_json
from ganvas.image.picture import NATURAL_RANGE, PictureSpec, Pixels

__all__ = ["Cache", "build_cache"]

FORMAT = 1
"""Raised when the content of a cache folder changes its meaning."""
Report = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


class _Side:
    """All pictures of one side, behind one memory map."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.shapes: NDArray[np.int64] = np.array(record["shapes"], dtype=np.int64).reshape(-1, 3)
        self.channels = int(self.shapes[:, 2].max())
        lengths = self.shapes.prod(axis=1)
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        self.dtype = record["dtype"]
        self._flat: Pixels = np.asarray(np.memmap(path, dtype=self.dtype, mode="r", shape=(int(self._ends[-1]),)))

    def __getitem__(self, index: int) -> Pixels:
        """(H, W, C), a read-only view; grey among coloured ones repeated."""
        height, width, channels = self.shapes[index]
        pixels = self._flat[self._starts[index] : self._ends[index]].reshape(height, width, channels)
        return pixels if channels == self.channels else np.broadcast_to(pixels, (height, width, self.channels))

    def spec(self, config: PairedData) -> PictureSpec:
        value_range = config.value_range or NATURAL_RANGE[self.dtype]
        return PictureSpec(dtype=self.dtype, channels=self.channels, value_range=value_range)


class Cache:
    """The pairs of one split, turned so that the given side comes first. Holds no pictures in memory itself.

    Attributes:
        names: of the pairs, in order.
        refusals: the pairs that the content gate kept out.
        degraded: the pairs are single pictures: both sides show the same, and the loader degrades the given one
            (the made one for direction b_to_a).
        input_spec: the numbers of the given side.
        output_spec: the numbers of the made side.
        sizes: (N, 2) heights and widths.
    """

    def __init__(self, folder: Path, config: PairedData) -> None:
        record = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.names: list[str] = record["names"]
        self.refusals = [PolicyRefusal(kept["refused"], kept["reason"], kept["score"]) for kept in record["refusals"]]
        sides = [_Side(folder / f"{name}.bin", side) for name, side in record["sides"].items()]
        self.degraded = len(sides) == 1
        first, last = sides[0], sides[-1]
        self._given, self._made = (last, first) if config.direction == "b_to_a" else (first, last)
        self.input_spec, self.output_spec = self._given.spec(config), self._made.spec(config)
        self.sizes = self._given.shapes[:, :2]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Pixels, Pixels]:
        """The given and the made side, (H, W, C) each, as read-only views of the file."""
        return self._given[index], self._made[index]

    def name(self, index: int) -> str:
        """The stem that a pair was found by."""
        return self.names[index]


def build_cache(config: PairedData, split: Split, folder: Path, *, report: Report | None = None) -> Cache:
    """The cache of a split, taken from `folder` if it is there and the content gate still admits it, else made.

    Every picture passes the gate before it is written; refused pairs are left out and listed. Processes may call this
    at the same time and get the same cache; to decode only once let one of them go first.

    Args:
        config: where the pairs are and how they are sized.
        split: train is cached at load_size, val and test at evaluation_size.
        folder: where caches are kept; made if missing.
        report: is told the progress while a cache is made.

    Raises:
        DataError: pairs cannot be found, read or used together; it names them.
        PolicyRefusal: too many are refused.
    """
    layout, entries = find_layout(config, split), find_entries(config, split)
    home = folder / _key(config, split, layout, entries)
    if (cache := _open(home, config)) is not None and _is_admitted(cache, entries, layout):
        return cache
    shutil.rmtree(home, ignore_errors=True)  # damaged, or no longer admitted
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=folder))
    try:
        _write(_Draft(temporary, layout, config, split), entries, report)
        _publish(temporary, home)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Cache(home, config)


def _key(config: PairedData, split: Split, layout: Layout, entries: Sequence[Entry]) -> str:
    size = config.load_size if split == "train" else evaluation_size(config)
    settings = [FORMAT, layout, config.resize, None if config.resize == "none" else size, config.value_range]
    files = [[entry.name, _fingerprint(entry.a), _fingerprint(entry.b)] for entry in entries]
    gate = [policy.THRESHOLD, policy.VIEWS_VERSION]
    return hashlib.sha256(json.dumps([settings, gate, files]).encode()).hexdigest()[:32]


def _fingerprint(path: Path | None) -> list[str | int] | None:
    if path is None:
        return None
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _open(home: Path, config: PairedData) -> Cache | None:
    """The cache at that place, or None where there is none or it is damaged."""
    try:
        return Cache(home, config)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _is_admitted(cache: Cache, entries: Sequence[Entry], layout: Layout) -> bool:
    """Whether the gate, as it is now, admits the first pair: a cache must not outlive a gate that is shut."""
    first = next(entry for entry in entries if entry.name == cache.names[0])
    try:
        _admit(first, layout)
    except PolicyRefusal:
        return False
    return True


def _admit(entry: Entry, layout: Layout) -> tuple[Pixels, ...]:
    """The sides of a pair, each of which the gate has admitted."""
    sides = read_sides(entry, layout)
    for side in sides:
        policy.admit(side, name=entry.name)
    return tuple(side.pixels for side in sides)


@dataclass
class _Draft:
    """A cache folder in the making.

    Attributes:
        kinds: for each side, the (sample type, channels) of each pair.
        shapes: for each side, the (H, W, C) of each pair.
        problems: name -> why a pair cannot be used.
    """

    folder: Path
    layout: Layout
    config: PairedData
    split: Split
    names: list[str] = field(default_factory=list)
    dtypes: list[list[str]] = field(default_factory=lambda: [[], []])
    shapes: list[list[tuple[int, ...]]] = field(default_factory=lambda: [[], []])
    refusals: list[PolicyRefusal] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def side_names(self) -> tuple[str, ...]:
        return ("b",) if self.layout == "single" else ("a", "b")

    def add(self, entry: Entry, files: Sequence[BinaryIO]) -> None:
        """Read one pair, ask the gate, and append it."""
        try:
            sides = [at_cache_size(side, self.config, self.split) for side in _admit(entry, self.layout)]
        except PolicyRefusal as refusal:
            self.refusals.append(refusal)
            return
        except (ImageError, DataError) as error:
            self.problems[entry.name] = str(error)
            return
        self.names.append(entry.name)
        for side, pixels in enumerate(sides):
            files[side].write(np.ascontiguousarray(pixels).data)
            self.dtypes[side].append(pixels.dtype.name)
            self.shapes[side].append(pixels.shape)

    def as_record(self) -> dict[str, object]:
        """What index.json holds."""
        sides = {
            name: {"dtype": self.dtypes[side][0], "shapes": self.shapes[side]}
            for side, name in enumerate(self.side_names)
        }
        refusals = [refusal.as_record() for refusal in self.refusals]
        return {"format": FORMAT, "names": self.names, "sides": sides, "refusals": refusals}


def _write(draft: _Draft, entries: Sequence[Entry], report: Report | None) -> None:
    files = [(draft.folder / f"{name}.bin").open("wb") for name in draft.side_names]
    try:
        for done, entry in enumerate(entries, start=1):
            draft.add(entry, files)
            policy.check_share(draft.refusals, len(entries))
            if report is not None:
                report(done, len(entries))
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files:
            file.close()
    _check(draft, len(entries))
    write_json(draft.folder / "index.json", draft.as_record())


def _check(draft: _Draft, total: int) -> None:
    """Refuse pairs that cannot be used, or not together with the others."""
    if draft.problems:
        listed = some_names([f"{name}: {problem}" for name, problem in draft.problems.items()])
        raise DataError(f"{len(draft.problems)} of {total} pairs cannot be used: {listed}")
    for side, side_name in enumerate(draft.side_names):
        _check_alike(draft.names, draft.dtypes[side], [shape[2] for shape in draft.shapes[side]], side_name)
    if draft.config.value_range is not None and len({*draft.dtypes[0][:1], *draft.dtypes[1][:1]}) > 1:
        raise DataError("one value_range cannot fit two sides of different sample types; convert one of them")


def _check_alike(names: Sequence[str], dtypes: Sequence[str], channels: Sequence[int], side: str) -> None:
    """All of one side must have one type and number of channels; grey counts as RGB where the most are RGB."""
    kinds = list(zip(dtypes, channels, strict=True))
    usual = Counter(kinds).most_common(1)[0][0]
    if usual[1] in (1, 3) and (usual[0], 3) in kinds:
        usual = (usual[0], 3)
    fitting = {usual, (usual[0], 1)} if usual[1] == 3 else {usual}
    odd = [
        f"{name} ({dtype}, {count} channels)"
        for name, dtype, count in zip(names, dtypes, channels, strict=True)
        if (dtype, count) not in fitting
    ]
    if odd:
        known = f"{usual[0]} with {usual[1]} channels"
        raise DataError(f"side {side}: most are {known}, but {len(odd)} are not; convert or remove: {some_names(odd)}")


def _publish(temporary: Path, home: Path) -> None:
    """Rename the finished folder; where another process was faster, keep that one's."""
    try:
        temporary.rename(home)
    except OSError:
        if not home.exists():
            raise
