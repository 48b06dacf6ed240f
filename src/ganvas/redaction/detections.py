"""Detections in a film, a JSON line a frame: found by several threads, written, edited by hand and read strictly."""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ganvas.errors import InputError, problem_of
from ganvas.hardware.threads import given_threads
from ganvas.image.picture import Box
from ganvas.localization.classifier import Bytes
from ganvas.localization.detectors import Detection, DetectionConfig, Detector, find_boxes
from ganvas.serialization import from_record, parse_json

__all__ = [
    "TIME_DIGITS",
    "Detections",
    "FrameDetections",
    "ManualBox",
    "examine",
    "header_line",
    "in_threads",
    "read_detections",
]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
AHEAD = 2
"""Frames that are read ahead, for each worker."""
MOST_WORKERS = 8
"""Each takes the memory of a network beside the frame: for 1920 x 1080 pixels and faces .3 GiB."""
LONGEST_LINE = 1 << 24
"""Bytes."""
TIME_DIGITS = 6
"""Of seconds, so that a film's times are the same whether they come from the file or not."""
SHAPE = (
    'expected {"frame": 0, "time": 0.0, "boxes": [{"label": "face", "score": 0.9, "box": [left, top, right, bottom]}]}'
    ' or {"start": 1.5, "end": 3.0, "box": [left, top, right, bottom]}, in seconds'
)


@dataclass(frozen=True, kw_only=True)
class FrameDetections:
    """What was found in a frame.

    Attributes:
        frame: counted from 0.
        time: in seconds from the first frame, rounded to microseconds as in the file.
        detections: without margin, in pixels of the upright frame.
        problem: why the frame could not be examined, so that it must be covered whole; None where it was.
    """

    frame: int
    time: float
    detections: tuple[Detection, ...] = ()
    problem: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", round(self.time, TIME_DIGITS))

    def as_line(self) -> str:
        """Return the JSON line of the frame, without a line end."""
        boxes = [_box_record(detection) for detection in self.detections]
        record: dict[str, Any] = {"frame": self.frame, "time": self.time, "boxes": boxes}
        return json.dumps(record | ({} if self.problem is None else {"problem": self.problem}), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class ManualBox:
    """A box that a person gave, covered from `start` to `end` in seconds, both included."""

    start: float
    end: float
    box: tuple[float, float, float, float]
    label: str = "manual"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start <= self.end):
            raise InputError(f"start {self.start} and end {self.end} must be seconds, the end not before the start")
        self.pixels()

    def pixels(self) -> Box:
        """Return the box, rounded outward."""
        return _outward(self.box)


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Valid file of detections; frames are read from it again each time they are asked for, and not held.

    Attributes:
        path: the file.
        count: number of frames; 0 for a file of manual boxes alone.
        manual: the boxes that a person gave.
        width: of the film that was examined, in pixels; None where the file does not tell.
        height: likewise.
        last_track: the largest number of a track, 0 where there is none.
    """

    path: Path
    count: int
    manual: tuple[ManualBox, ...]
    width: int | None
    height: int | None
    last_track: int

    def frames(self) -> Iterator[FrameDetections]:
        """Yield the frames in order."""
        return (entry for _, entry in _entries(self.path) if isinstance(entry, FrameDetections))

    def require_fit(self, *, count: int, width: int, height: int) -> None:
        """Compare with a film.

        Raises:
            InputError: the film has another size or number of frames.
        """
        if (self.width or width, self.height or height) != (width, height):
            raise InputError(
                f"{self.path}: made for a film of {self.width} x {self.height} pixels, this one has {width} x {height};"
                " give the detections of this film, or run `ganvas locate` on it"
            )
        if self.count not in (0, count):
            raise InputError(
                f"{self.path}: {self.count} frames, but the film has {count}; give the detections of this film, with"
                " one line for each frame"
            )

    def require_reach(self, times: Sequence[float], *, width: int, height: int) -> None:
        """Require that each box covers something: it lies in the frame, and a manual one in the film's time.

        Args:
            times: of all frames, in seconds from the first, ascending.
            width: of the frames, in pixels.
            height: likewise.

        Raises:
            InputError: a box covers nothing; names it.
        """
        for box in self.manual:
            first = bisect_left(times, box.start)
            if first == len(times) or times[first] > box.end:
                end = times[-1] if times else 0.0
                span = f"{box.start:g} to {box.end:g} s covers no frame: the frames lie at 0 to {end:.3f} s"
                raise InputError(f"{self.path}: the box {_edges(box.pixels())} from {span}; correct or remove its line")
            self._require_inside(box.pixels(), "", width=width, height=height)
        for frame in self.frames():
            for detection in frame.detections:
                self._require_inside(detection.box, f"frame {frame.frame}: ", width=width, height=height)

    def _require_inside(self, box: Box, where: str, *, width: int, height: int) -> None:
        if box.clip(height, width) is None:
            raise InputError(
                f"{self.path}: {where}the box {_edges(box)} lies wholly outside the frame of {width} x {height}"
                " pixels; correct or remove it"
            )


@dataclass(frozen=True, kw_only=True)
class _BoxEntry:
    box: tuple[float, float, float, float]
    label: str
    score: float = 1.0
    track: int | None = None

    def detection(self) -> Detection:
        if self.track is not None and self.track < 1:
            raise InputError(f"track {self.track}: tracks are numbered from 1")
        return Detection(_outward(self.box), self.score, self.label, self.track)


@dataclass(frozen=True, kw_only=True)
class _FrameEntry:
    frame: int
    time: float
    boxes: tuple[_BoxEntry, ...]
    problem: str | None = None

    def detections(self) -> FrameDetections:
        if not math.isfinite(self.time):
            raise InputError(f"time {self.time} is no number of seconds")
        found = tuple(entry.detection() for entry in self.boxes)
        tracks = [detection.track for detection in found if detection.track is not None]
        if twice := sorted({track for track in tracks if tracks.count(track) > 1}):
            raise InputError(f"track {twice[0]} has two boxes; give one of them another number, or none")
        return FrameDetections(frame=self.frame, time=self.time, detections=found, problem=self.problem)


@dataclass(frozen=True, kw_only=True)
class _Header:
    width: int
    height: int
    detect: tuple[str, ...] = ()


Entry = FrameDetections | ManualBox | _Header


def examine(
    frames: Iterable[tuple[int, float, Bytes]],
    detectors: Sequence[Detector],
    config: DetectionConfig,
    *,
    workers: int | None = None,
) -> Iterator[FrameDetections]:
    """Yield the detections of each frame in order; a frame on which a detector fails carries the problem.

    Args:
        frames: number, time in seconds and pixels (H, W, 3) uint8, read `AHEAD` frames a worker ahead.
        detectors: loaded with threads=1, since each worker examines a frame of its own.
        config: minimum score and kept boxes.
        workers: see `in_threads`.
    """
    yield from in_threads(lambda frame: _examined(*frame, detectors, config), frames, workers=workers)


def in_threads(
    function: Callable[[Item], Outcome], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Outcome]:
    """Yield the result for each item, in order; `AHEAD` items a worker are read ahead.

    Args:
        function: called in a thread.
        items: read in the caller's thread.
        workers: threads; None for as many as threads may be used, at most `MOST_WORKERS`.
    """
    workers = workers or min(given_threads() or os.cpu_count() or 1, MOST_WORKERS)
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _examined(
    number: int, time: float, rgb: Bytes, detectors: Sequence[Detector], config: DetectionConfig
) -> FrameDetections:
    try:
        found = tuple(find_boxes(rgb, detectors, config))
    except Exception as error:  # noqa: BLE001  whatever it is, the frame is covered whole and listed
        return FrameDetections(frame=number, time=time, problem=problem_of(error))
    return FrameDetections(frame=number, time=time, detections=found)


def header_line(*, width: int, height: int, detect: Sequence[str]) -> str:
    """Return the JSON line that a file begins with, so that it is not used for a film of another size."""
    return json.dumps({"width": width, "height": height, "detect": list(detect)}, ensure_ascii=False)


def read_detections(path: Path) -> Detections:
    """Read and check a file of detections: a JSON line for each frame, and one for each manual box.

    Raises:
        InputError: a line cannot be used, or a frame is missing, out of order or earlier than the one before; the
            message names file and line.
    """
    count, last_track, latest = 0, 0, -math.inf
    manual: list[ManualBox] = []
    header: _Header | None = None
    for where, entry in _entries(path):
        if isinstance(entry, ManualBox):
            manual.append(entry)
        elif isinstance(entry, _Header):
            if header or count or manual:
                raise InputError(f"{where}: the size of the film is given in the middle of the file; put it first")
            header = entry
        else:
            if entry.frame != count:
                raise InputError(
                    f"{where}: holds frame {entry.frame}, expected {count}; each frame needs a line, with"
                    ' "boxes": [] where nothing is covered'
                )
            if entry.time < latest:
                raise InputError(f"{where}: time {entry.time} is before the {latest} of the frame before")
            count, latest = count + 1, entry.time
            last_track = max([last_track, *(each.track or 0 for each in entry.detections)])
    if not count and not manual:
        raise InputError(f"{path}: is empty; {SHAPE}")
    size = (None, None) if header is None else (header.width, header.height)
    return Detections(
        path=path, count=count, manual=tuple(manual), width=size[0], height=size[1], last_track=last_track
    )


def _entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Yield the place (file and line) and the content of each line that is not blank."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            where = f"{path}: line {number}"
            if len(line) > LONGEST_LINE:
                raise InputError(f"{where}: is longer than {LONGEST_LINE >> 20} MiB")
            if not line.strip():
                continue
            try:
                entry = _entry(parse_json(line))
            except ValueError as problem:
                raise InputError(f"{where}: {_plain(problem)}; {SHAPE}") from problem
            yield where, entry


CLASSES = "|".join(each.__name__ for each in (ManualBox, _Header, _FrameEntry, _BoxEntry))


def _plain(problem: ValueError) -> str:
    """Return a message about one line, without a second line number and without names of classes."""
    if isinstance(problem, json.JSONDecodeError):
        return f"no JSON: {problem.msg[0].lower()}{problem.msg[1:]}, at character {problem.pos + 1}"
    if isinstance(problem, UnicodeDecodeError):
        return "not UTF-8; save the file as UTF-8"
    text = re.sub(rf" \((?:{CLASSES})\)", "", str(problem))
    text = re.sub(rf"\b(?:{CLASSES}) has ", "known keys are ", text)
    return re.sub(rf"^(?:{CLASSES})(?:\.|: )", "", text)


def _edges(box: Box) -> list[int]:
    return [box.left, box.top, box.right, box.bottom]


def _entry(record: object) -> Entry:
    if isinstance(record, dict) and "start" in record:
        return from_record(ManualBox, record)
    if isinstance(record, dict) and "width" in record:
        return from_record(_Header, record)
    return from_record(_FrameEntry, record).detections()


def _box_record(detection: Detection) -> dict[str, Any]:
    record = detection.as_record()
    return record if detection.track is None else record | {"track": detection.track}


def _outward(corners: tuple[float, float, float, float]) -> Box:
    if not all(map(math.isfinite, corners)):
        raise InputError(f"box {list(corners)} holds a number that is not finite")
    left, top, right, bottom = corners
    return Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
