"""Films as training data: selected frames, their scenes, and the assignment of scenes to splits.

A film is read once to find its scenes and repeated frames; the result is stored beside the caches of pictures under the
file's name, size and time. Frames of one scene, and of similar scenes, are always in the same split.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ganvas.data.config import DataConfig, UnpairedData
from ganvas.data.layouts import Entry, Split, find_entries, has_split, is_unsplit, some_names
from ganvas.data.scenes import Sketch, is_cut, normalized, sketch, windows
from ganvas.data.splits import (
    MAX_DIFFERENCE,
    MAX_DISTANCE,
    EmptySplitWarning,
    Fingerprint,
    fingerprint,
    join_alike,
)
from ganvas.errors import DataError, RunError, VideoError
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder, using_cache
from ganvas.image.files import read_image
from ganvas.image.ranges import Transfer, describe_transfer
from ganvas.progress import SILENT, Progress
from ganvas.serialization import from_record, read_json, to_record
from ganvas.video import FilmInfo, probe, read_video

__all__ = ["SCAN_VERSION", "FilmEntries", "has_pictures", "held_out_split", "is_repeat", "warn_of_no_validation"]

SCAN_VERSION = 2
"""Version of the scan, increased whenever the selection of frames, the scenes or the recorded fields change."""
PER_SECOND = 2
"""Frames selected per second if `frame_step` is unset."""
USUAL_RATE = 25
"""Frames per second if a film does not declare them."""
SHARE = 0.1
"""Smallest share of the frames that val and test each receive, if there are enough scenes."""
LARGEST = 0.25
"""Largest share of all frames in a scene of val or test; larger scenes belong to train."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Frame selected as a training picture.

    Attributes:
        index: in the film.
        time: in seconds.
        scene: number of its scene in the film.
        hashes: hashes of its fingerprint, in order.
    """

    index: int
    time: float
    scene: int
    hashes: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """Selected frames of a film and its HDR transfer function, stored as JSON beside the caches."""

    frames: tuple[Taken, ...]
    transfer: Transfer | None = None


class FilmEntries:
    """Entries of a split in which films are replaced by their frames; frames are read on each pass.

    Args:
        entries: entries of pictures and films.
        config: frame step, and whether scenes are assigned to splits.
        split: the split to yield.
        num_frames: number of neighboring frames in a window, see `ganvas.data.scenes.windows`.
        progress: receives the progress of the first reading, and can cancel it.

    Attributes:
        transfer: HDR transfer function of all films; None for standard range.

    Raises:
        DataError: films cannot be read, have different transfer functions, or none of the scenes is in the split.
        MissingDependency: PyAV is not installed.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        config: DataConfig,
        split: Split,
        *,
        num_frames: int = 1,
        progress: Progress = SILENT,
    ) -> None:
        self._num_frames = num_frames
        scanned, self.transfer = _scan_all([*entries], config, progress)
        self._taken = _of_split(scanned, split) if is_unsplit(config) else scanned
        if not len(self):
            raise DataError(f"{config.folder}: its scenes are too few or too similar for {split}; {_REMEDY}")

    def __len__(self) -> int:
        return sum(len(taken) for _, taken in self._taken)

    def __iter__(self) -> Iterator[Entry]:
        for entry, taken in self._taken:
            if taken:
                yield from _frames(entry, taken, self._num_frames) if entry.film else (entry,)


_REMEDY = "put other films or pictures into folders train and val"


def has_pictures(config: DataConfig, split: Split) -> bool:
    """Return whether the data set has pictures, or frames of films, of a split.

    Raises:
        DataError: as for `FilmEntries`.
    """
    if not is_unsplit(config):
        return has_split(config, split)
    scanned, _ = _scan_all([*find_entries(config, split)], config, SILENT)
    return any(taken for _, taken in _of_split(scanned, split))


def held_out_split(data: DataConfig) -> Split:
    """Return the held-out split: "test" if there is one, else "val".

    Raises:
        DataError: neither exists.
    """
    if not data.folder.exists():
        raise DataError(f"{data.folder}: no such folder; check the name, or pass --data DIR")
    splits: tuple[Split, ...] = ("test", "val")
    for split in splits:
        if has_pictures(data, split):
            return split
    raise DataError(f"{data.folder} has no test and no val split: {_remedy(data, splits)}")


def _remedy(data: DataConfig, splits: Sequence[Split]) -> str:
    if not data.paired:
        return "put held-out pictures into testA and testB"
    for split in splits:
        if has_split(UnpairedData(folder=data.folder), split):
            return (
                f"{split}A and {split}B are unpaired, but this command measures outputs against targets: pass a "
                "folder of "
                "pairs, with held-out pairs in its folder test"
            )
    return "put held-out pictures into test"


def warn_of_no_validation(config: DataConfig) -> None:
    """Warn if films have too few scenes for a validation split."""
    if is_unsplit(config) and not has_pictures(config, "val"):
        warnings.warn(
            f"{config.folder}: its scenes are too few or too similar to keep one for validation; {_REMEDY}",
            EmptySplitWarning,
            stacklevel=3,
        )


Scanned = list[tuple[Entry, tuple[Taken, ...]]]
"""Entries with their selected frames; a picture has one frame."""


def _scan_all(entries: Sequence[Entry], config: DataConfig, progress: Progress) -> tuple[Scanned, Transfer | None]:
    """Return the frames of all entries, and their common transfer function."""
    scanned, problems = Scanned(), list[str]()
    examples: dict[Transfer | None, Entry] = {}
    for entry in entries:
        try:
            found = _scanned(entry, config, progress)
            scanned.append((entry, found.frames))
            examples.setdefault(found.transfer, entry)
        except VideoError as error:
            problems.append(str(error))
    if problems:
        count = sum(entry.film for entry in entries)
        raise DataError(f"{len(problems)} of {count} films cannot be used: {some_names(problems)}")
    if len(examples) > 1:
        named = [f"{entry.files[0].name} is {describe_transfer(transfer)}" for transfer, entry in examples.items()]
        raise DataError(f"{config.folder}: {', '.join(named)}; train on pictures of one transfer function")
    return scanned, next(iter(examples), None)


def _scanned(entry: Entry, config: DataConfig, progress: Progress) -> _Scan:
    """Return the selected frames of an entry, from the stored scan if the file has not changed."""
    (path,) = entry.files
    if not entry.film:  # a picture beside films; its fingerprint matters only if scenes are assigned to splits
        hashes = _hashes(fingerprint(read_image(path))) if is_unsplit(config) else (0, 0, 0, 0)
        return _Scan(frames=(Taken(index=0, time=0.0, scene=0, hashes=hashes),))
    status = path.stat()
    identity = [SCAN_VERSION, config.frame_step, str(path.resolve()), status.st_size, status.st_mtime_ns]
    kept = cache_folder() / "films" / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]}.json"
    try:
        return from_record(_Scan, read_json(kept))
    except (OSError, ValueError, RunError):  # missing or damaged
        film = probe(path)
        found = _Scan(frames=tuple(_scan(film, config.frame_step, progress)), transfer=film.color.hdr)
    with using_cache(kept.parent.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, to_record(found))
    return found


def _scan(film: FilmInfo, step: int | None, progress: Progress) -> Iterator[Taken]:
    """Yield the frames to select: every `step`-th, unless it repeats the last selected one of its scene."""
    step = step or max(1, round((film.rate or USUAL_RATE) / PER_SECOND))
    scene = 0
    before: Sketch | None = None
    last: Fingerprint | None = None
    task, done = f"find scenes of {film.path.name}", 0
    for frame in read_video(film):
        progress.check()
        seen = sketch(frame.picture)
        if before is not None and is_cut(before, seen):
            scene, last = scene + 1, None
        before = seen
        if frame.index % step == 0:
            mark = fingerprint(frame.picture)
            if last is None or not is_repeat(last, mark):
                yield Taken(index=frame.index, time=round(frame.time, 6), scene=scene, hashes=_hashes(mark))
                last = mark
        done = frame.index + 1
        progress(task, done, max(film.expected_frames(), done))
    progress(task, done, done)


def is_repeat(before: Fingerprint, after: Fingerprint) -> bool:
    """Return whether a frame repeats an earlier one of its scene, according to their fingerprints."""
    distance = int(np.bitwise_count(before.hashes[0] ^ after.hashes[0]).sum())
    first, second = (normalized(one.thumbnail.astype(np.float32).ravel()) for one in (before, after))
    flat = not first.any() and not second.any()
    return distance <= MAX_DISTANCE and (flat or 1 - float(first @ second) <= MAX_DIFFERENCE)


def _hashes(mark: Fingerprint) -> tuple[int, int, int, int]:
    first, second, third, fourth = mark.hashes.ravel().tolist()
    return first, second, third, fourth


def _of_split(scanned: Scanned, split: Split) -> Scanned:
    """Return the entries with only the frames of one split."""
    splits = iter(_assigned(scanned))
    return [(entry, tuple(frame for frame in taken if next(splits) == split)) for entry, taken in scanned]


def _assigned(scanned: Scanned) -> list[Split]:
    """Return the split of each frame: scenes in the order of a hash of their content fill val, then test.

    Renaming a film therefore does not change its splits, and adding another film moves few scenes.
    """
    frames = [(number, frame) for number, (_, taken) in enumerate(scanned) for frame in taken]
    scenes: dict[tuple[int, int], int] = defaultdict(lambda: len(scenes))
    numbers = [scenes[number, frame.scene] for number, frame in frames]
    hashes = np.array([frame.hashes for _, frame in frames], dtype=np.uint64).reshape(-1, 2, 2)
    groups = join_alike(hashes, numbers)
    keys: dict[int, str] = {}
    for group, (_, frame) in zip(groups, frames, strict=True):
        key = hashlib.sha256(repr(frame.hashes).encode()).hexdigest()
        keys[group] = min(keys.get(group, key), key)
    sizes, filled, chosen = Counter(groups), Counter[Split](), dict[int, Split]()
    places: tuple[Split, ...] = ("val", "test")
    for group in sorted(keys, key=lambda one: keys[one]):
        free = [split for split in places if filled[split] < SHARE * len(groups)]
        if free and sizes[group] <= LARGEST * len(groups):
            chosen[group] = free[0]
            filled[free[0]] += sizes[group]
    return [chosen.get(group, "train") for group in groups]


def _frames(entry: Entry, taken: Sequence[Taken], num_frames: int) -> Iterator[Entry]:
    """Yield an entry for each selected frame; the film is read from the first to the last of them."""
    times = {frame.index: frame.time for frame in taken}
    (path,), half = entry.files, num_frames // 2
    frames = read_video(path, start=max(0, taken[0].index - half), stop=taken[-1].index + half + 1)
    for frame, window in windows(frames, num_frames):
        if (index := frame.index) in times:
            label = f"{path.name}, frame {index}, {times[index]:.2f} s"
            yield replace(entry, name=f"{entry.name}-{index:06d}", label=label, window=window, film=False)
