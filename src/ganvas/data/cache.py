"""Cache of decoded pictures at training size, memory-mapped by every process.

    FOLDER/<key>/index.json          names and sample type of each side; refusals
    FOLDER/<key>/a.bin b.bin         all pictures of one side, (C, H, W) one after the other, no header
    FOLDER/<key>/a.shapes b.shapes   their (C, H, W), three 32-bit numbers each
    FOLDER/<key>/a.sums b.sums       their CRC-32, checked when a picture is first read
    FOLDER/<key>/checks.json         CRC-32 of the small files, checked when the cache is opened

The key is a hash of everything that determines the content, so a changed file or setting makes a new cache. A cache
is published by renaming a finished folder: it is complete or absent. Deleting one is always safe.
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

from ganvas.content_gate import gate
from ganvas.data.cache_writer import CHECKS_NAME, FORMAT, INDEX_NAME, CacheWriter, Report, admitted
from ganvas.data.config import DataConfig
from ganvas.data.decode import at_cache_size, evaluation_size, warn_of_opacity
from ganvas.data.layouts import BOTH, Entries, Entry, Layout, Split, find_entries, find_layout
from ganvas.data.memmap import Side
from ganvas.errors import DataError, PolicyRefusal
from ganvas.image.files import PictureWarning
from ganvas.image.picture import PictureSpec
from ganvas.serialization import read_json

__all__ = [
    "Cache",
    "agree_across_sides",
    "agree_across_splits",
    "build_cache",
    "repeat_gray",
]


class Cache:
    """Cached pictures of one split, oriented by `direction`; they stay in the files.

    Pairs have the same names and sizes on both sides, at the same index; unpaired sides may differ in length.

    Attributes:
        a, b: source and target side, picture by picture; exchanged for direction b_to_a.
        refusals: pairs, or pictures of either side, refused by the content gate.
        degraded: whether the pairs are single pictures: both sides are the same, and the loader degrades a
            (b for direction b_to_a).
        sides: the sides by their names on disk, regardless of direction; `b` alone for single pictures.
    """

    def __init__(self, folder: Path, config: DataConfig) -> None:
        sides, self.refusals = _read_index(folder, config)
        self.degraded = len(sides) == 1
        first, last = sides[0], sides[-1]
        self.a, self.b = (last, first) if config.direction == "b_to_a" else (first, last)
        self.sides = {"a": first, "b": last} if len(sides) == 2 else {"b": last}

    def __len__(self) -> int:
        """Return the number of pairs, or of pictures of the longer side."""
        return max(len(self.a), len(self.b))


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


def build_cache(config: DataConfig, split: Split, folder: Path, *, report: Report | None = None) -> Cache:
    """Open the cache of a split in `folder` if it exists and the content gate still admits it, else build it.

    Every picture passes the gate before it is written; refused pairs, or pictures of unpaired sides, are left out and
    listed, and their share counts over both sides. Concurrent processes get the same cache; to decode only once, let
    one of them go first.

    Args:
        config: location and size of the pictures.
        split: train is cached at load_size, val and test at evaluation_size.
        folder: folder of all caches; created if missing.
        report: called with the progress of the build.

    Raises:
        DataError: pictures cannot be found, read or used together; the message names them.
        PolicyRefusal: too many are refused.
    """
    plan = _Plan(config, split, find_layout(config, split), find_entries(config, split))
    return _build(plan, folder, report)


@dataclass(frozen=True)
class _Plan:
    """Everything that determines the content of a cache."""

    config: DataConfig
    split: Split
    layout: Layout
    entries: Entries | list[Entry]

    @property
    def key(self) -> str:
        """Return the name of the cache's folder."""
        config = self.config
        size = config.load_size if self.split == "train" else evaluation_size(config)
        settings = [FORMAT, self.layout, config.resize, None if config.resize == "none" else size, config.value_range]
        real = cache(os.path.realpath)  # resolve links once for all files of a folder
        digest = hashlib.sha256(json.dumps([settings, gate.THRESHOLD, gate.VIEWS_VERSION]).encode())
        for entry in self.entries:
            digest.update(json.dumps([entry.name, *(_fingerprint(file, real) for file in entry.files)]).encode())
        return digest.hexdigest()[:32]

    def write(self, folder: Path, report: Report | None) -> None:
        """Write the cache's files."""
        fit = partial(at_cache_size, config=self.config, split=self.split)
        sides = ("b",) if self.layout == "single" else BOTH
        writer = CacheWriter(folder, sides, fit=fit, what="pairs" if self.config.paired else "pictures")
        writer.write(self.entries, report, one_range=self.config.value_range is not None)
        warn_of_opacity(writer.num_with_opacity, self.split)


def _fingerprint(file: Path, real: Callable[[str], str]) -> list[str | int]:
    """Return the location, size and modification time of a file."""
    folder, name = os.path.split(file)
    status = file.stat()
    return [real(folder), name, status.st_size, status.st_mtime_ns]


def _build(plan: _Plan, folder: Path, report: Report | None) -> Cache:
    home = folder / plan.key
    if (there := _open_if_valid(home, plan.config)) is not None and _is_still_admitted(there, plan.entries):
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
    return Cache(home, plan.config)


def _warn_of_remarks(home: Path, split: Split) -> None:
    """Warn of the remarks on the pictures of a cache, also of an existing one."""
    for remark in json.loads((home / INDEX_NAME).read_text(encoding="utf-8")).get("remarks", ()):
        warnings.warn(f"{split}: {remark}", PictureWarning, stacklevel=4)


def _open_if_valid(home: Path, config: DataConfig) -> Cache | None:
    """Return the cache in `home`, or None if it is missing or damaged."""
    try:
        return Cache(home, config)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        return None


def _is_still_admitted(there: Cache, entries: Entries | list[Entry]) -> bool:
    """Return whether the current gate admits the first picture: a cache must not outlive a gate that refuses."""
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


COLOR = 3
"""Number of channels to which gray is repeated."""


def agree_across_splits(splits: Mapping[Split, Cache]) -> None:
    """Give each side the same channels in all splits, by repeating gray pictures in place.

    Raises:
        DataError: a side differs in sample type or channels between splits.
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


def agree_across_sides(caches: Iterable[Cache]) -> None:
    """Give both sides the same channels if one is gray, for methods that need equal channels."""
    repeat_gray([side for cache in caches for side in cache.sides.values()])


def repeat_gray(sides: Iterable[Side], *, like: int | None = None) -> None:
    """Repeat gray sides to three channels if other sides have three, or if `like` is three."""
    sides = list(sides)
    if {side.spec.channels for side in sides} | ({like} if like else set()) == {1, COLOR}:
        for side in sides:
            side.repeat_gray(COLOR)


def _describe(spec: PictureSpec) -> str:
    return f"{spec.dtype} with {spec.channels} channel{'s' * (spec.channels > 1)}"
