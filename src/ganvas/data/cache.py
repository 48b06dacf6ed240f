"""Pictures decoded once, at the size they are trained at, into files that every process maps into its memory.

    FOLDER/<key>/index.json          of each side the names and the sample type; refusals
    FOLDER/<key>/a.bin b.bin         all pictures of one side, (C, H, W) one after the other, no header
    FOLDER/<key>/a.shapes b.shapes   their (C, H, W), three 32-bit numbers each
    FOLDER/<key>/a.sums b.sums       their CRC-32, checked when a picture is first read
    FOLDER/<key>/checks.json         CRC-32 of the small files, checked when the cache is opened

The key is a hash of everything that decides the content, so a changed file or setting makes another cache. A cache
appears by the renaming of a finished folder: it is there wholly or not at all. Deleting one is always safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from ganvas.content_gate import gate
from ganvas.data.cache_writer import CHECKS_NAME, FORMAT, INDEX_NAME, CacheWriter, Report, Source, Sources, admitted
from ganvas.data.config import DataConfig, PairedData, UnpairedData
from ganvas.data.decode import at_cache_size, evaluation_size, read_sides, warn_of_opacity
from ganvas.data.layouts import Entry, Layout, Split, find_entries, find_layout, find_sides
from ganvas.data.memmap import Side
from ganvas.errors import DataError, PolicyRefusal
from ganvas.image.files import PictureWarning, read_image
from ganvas.image.picture import PictureSpec, Pixels
from ganvas.serialization import read_json

__all__ = [
    "Cache",
    "UnpairedCache",
    "agree_across_sides",
    "agree_across_splits",
    "build_cache",
    "build_unpaired_cache",
    "repeat_gray",
]

AnyCache = TypeVar("AnyCache", "Cache", "UnpairedCache")


class Cache:
    """The pairs of one split, turned so that the given side comes first. Holds no pictures in memory itself.

    Attributes:
        given, made: the sides, picture by picture.
        names: of the pairs, in order.
        refusals: the pairs that the content gate kept out.
        degraded: the pairs are single pictures: both sides show the same, and the loader degrades the given one
            (the made one for direction b_to_a).
        sides: the sides by their names in the files, whatever the direction; `b` alone for single pictures.
        sizes: (N, 2) heights and widths.
    """

    def __init__(self, folder: Path, config: PairedData) -> None:
        sides, self.refusals = _read_index(folder, config)
        self.degraded = len(sides) == 1
        first, last = sides[0], sides[-1]
        self.a, self.b = (last, first) if config.direction == "b_to_a" else (first, last)
        self.sides = {"a": first, "b": last} if len(sides) == 2 else {"b": last}
        self.names, self.sizes = self.a.names, self.a.sizes

    @property
    def input_spec(self) -> PictureSpec:
        """The numbers of the given side."""
        return self.a.spec

    @property
    def output_spec(self) -> PictureSpec:
        """The numbers of the made side."""
        return self.b.spec

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Pixels, Pixels]:
        """The given and the made side, (H, W, C) each, as read-only views of the file."""
        return self.a[index].transpose(1, 2, 0), self.b[index].transpose(1, 2, 0)

    def name(self, index: int) -> str:
        """The stem that a pair was found by."""
        return self.names[index]


class UnpairedCache:
    """The two sides of one split, which may differ in number. Holds no pictures in memory itself.

    Attributes:
        a, b: the sides, picture by picture.
        sides: the same, by name.
        refusals: the pictures of either side that the content gate kept out.
    """

    def __init__(self, folder: Path, config: UnpairedData) -> None:
        (self.a, self.b), self.refusals = _read_index(folder, config)
        self.sides = {"a": self.a, "b": self.b}


def _read_index(folder: Path, config: DataConfig) -> tuple[list[Side], list[PolicyRefusal]]:
    checks = read_json(folder / CHECKS_NAME)
    if any(zlib.crc32((folder / name).read_bytes()) != known for name, known in checks.items()):
        raise ValueError(f"{folder} is damaged")
    record = read_json(folder / INDEX_NAME)
    recorded = record["sides"]
    names: dict[str, list[str]] = {side: kept["names"] for side, kept in recorded.items() if "names" in kept}
    sides = [
        Side(folder, side, names=names[kept.get("names_of", side)], dtype=kept["dtype"], value_range=config.value_range)
        for side, kept in recorded.items()
    ]
    return sides, [PolicyRefusal(kept["refused"], kept["reason"], kept["score"]) for kept in record["refusals"]]


def build_cache(config: PairedData, split: Split, folder: Path, *, report: Report | None = None) -> Cache:
    """The cache of a split, taken from `folder` if it is there and the content gate still admits it, else made.

    Every picture passes the gate before it is written; refused pairs are left out and listed. Processes may call this
    at the same time and get the same cache; to decode only once let one of them go first.

    Args:
        config: where the pairs are and how they are sized.
        split: train is cached at load_size, val and test at evaluation_size.
        folder: where caches are kept; made if missing.
        report: is described the progress while a cache is made.

    Raises:
        DataError: pairs cannot be found, read or used together; it names them.
        PolicyRefusal: too many are refused.
    """
    layout = find_layout(config, split)
    sides = ("b",) if layout == "single" else ("a", "b")
    sources = Sources((find_entries(config, split), partial(_of_entry, layout=layout, sides=sides)))
    return _build(_Plan(config, split, layout, sides, sources), lambda home: Cache(home, config), folder, report)


def build_unpaired_cache(
    config: UnpairedData, split: Split, folder: Path, *, report: Report | None = None
) -> UnpairedCache:
    """As `build_cache`, of two sides that need not correspond; refusals count over both together.

    Raises:
        DataError: pictures cannot be found, read or used together; it names them.
        PolicyRefusal: too many are refused.
    """
    found = find_sides(config, split)
    sources = Sources(*((names, partial(_of_file, folder, side)) for side, (folder, names) in found.items()))
    plan = _Plan(config, split, "unpaired", tuple(found), sources)
    return _build(plan, lambda home: UnpairedCache(home, config), folder, report)


def _of_entry(entry: Entry, *, layout: Layout, sides: tuple[str, ...]) -> Source:
    files = (entry.b,) if entry.a is None else (entry.a, entry.b)
    return Source(entry.name, entry.name, sides, files, partial(read_sides, entry, layout))


def _of_file(folder: Path, side: str, name: str) -> Source:
    path = folder / name
    return Source(f"{folder.name}/{name}", name, (side,), (path,), lambda: (read_image(path),))


@dataclass(frozen=True)
class _Plan:
    """All that decides the content of a cache."""

    config: DataConfig
    split: Split
    layout: str
    sides: tuple[str, ...]
    sources: Sources

    @property
    def key(self) -> str:
        """The name of the cache's folder."""
        config = self.config
        size = config.load_size if self.split == "train" else evaluation_size(config)
        settings = [FORMAT, self.layout, config.resize, None if config.resize == "none" else size, config.value_range]
        real = cache(os.path.realpath)  # a folder's place without links, found once for all files in it
        digest = hashlib.sha256(json.dumps([settings, gate.THRESHOLD, gate.VIEWS_VERSION]).encode())
        for source in self.sources:
            digest.update(json.dumps([source.name, *(_fingerprint(file, real) for file in source.files)]).encode())
        return digest.hexdigest()[:32]

    def write(self, folder: Path, report: Report | None) -> None:
        """Write the cache's files."""
        fit = partial(at_cache_size, config=self.config, split=self.split)
        writer = CacheWriter(folder, self.sides, fit=fit, what="pictures" if self.layout == "unpaired" else "pairs")
        writer.write(self.sources, report, one_range=self.config.value_range is not None)
        warn_of_opacity(writer.num_with_opacity, self.split)


def _fingerprint(file: Path, real: Callable[[str], str]) -> list[str | int]:
    """Where a file lies, its size and its time."""
    folder, name = os.path.split(file)
    status = file.stat()
    return [real(folder), name, status.st_size, status.st_mtime_ns]


def _build(plan: _Plan, open_cache: Callable[[Path], AnyCache], folder: Path, report: Report | None) -> AnyCache:
    home = folder / plan.key
    if (there := _open_if_valid(open_cache, home)) is not None and _is_still_admitted(there, plan.sources):
        _warn_of_remarks(home, plan.split)
        return there
    shutil.rmtree(home, ignore_errors=True)  # damaged, or no longer admitted
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=folder))
    try:
        plan.write(temporary, report)
        _publish(temporary, home)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _warn_of_remarks(home, plan.split)
    return open_cache(home)


def _warn_of_remarks(home: Path, split: Split) -> None:
    """Warn, also where the cache was there, of what a person should know about its pictures."""
    for remark in json.loads((home / INDEX_NAME).read_text(encoding="utf-8")).get("remarks", ()):
        warnings.warn(f"{split}: {remark}", PictureWarning, stacklevel=4)


def _open_if_valid(open_cache: Callable[[Path], AnyCache], home: Path) -> AnyCache | None:
    """The cache at that place, or None where there is none or it is damaged."""
    try:
        return open_cache(home)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        return None


def _is_still_admitted(there: Cache | UnpairedCache, sources: Sources) -> bool:
    """Whether the gate, as it is now, admits the first picture: a cache must not outlive a gate that is shut."""
    refused = {refusal.name for refusal in there.refusals}
    try:
        admitted(next(source for source in sources if source.label not in refused))
    except PolicyRefusal:
        return False
    return True


def _publish(temporary: Path, home: Path) -> None:
    """Rename the finished folder; where another process was faster, keep that one's."""
    try:
        temporary.rename(home)
    except OSError:
        if not home.exists():
            raise


COLOR = 3
"""Channels that gray is repeated to."""


def agree_across_splits(splits: Mapping[Split, Cache | UnpairedCache]) -> None:
    """Bring each side to the same channels in all splits, by repeating gray ones in place.

    Raises:
        DataError: a side has another sample type or other channels in one split than in another.
    """
    caches = list(splits.values())
    for name in caches[0].sides:
        sides = [cache.sides[name] for cache in caches]
        repeat_gray(sides)
        if len({side.spec for side in sides}) > 1:
            described = ", ".join(
                f"{split} is {_describe(side.spec)}" for split, side in zip(splits, sides, strict=True)
            )
            raise DataError(
                f"side {name} differs from split to split: {described}; convert the pictures of one of them"
            )


def agree_across_sides(caches: Iterable[Cache | UnpairedCache]) -> None:
    """Bring both sides to the same channels where one is gray, for methods that need as many on both."""
    repeat_gray([side for cache in caches for side in cache.sides.values()])


def repeat_gray(sides: Iterable[Side], *, like: int | None = None) -> None:
    """Repeat gray sides where others are in color, or where `like` channels are wanted and those are three."""
    sides = list(sides)
    if {side.spec.channels for side in sides} | ({like} if like else set()) == {1, COLOR}:
        for side in sides:
            side.repeat_gray(COLOR)


def _describe(spec: PictureSpec) -> str:
    return f"{spec.dtype} with {spec.channels} channel{'s' * (spec.channels > 1)}"
