"""Detections in a film, and strict reading of their editable JSON Lines file."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.errors import InputError
from ganvas.image.picture import Box
from ganvas.localization.detectors import Detection
from ganvas.serialization import from_record, parse_json

__all__ = [
    "TIME_DIGITS",
    "Detections",
    "FrameDetections",
    "ManualBox",
    "header_line",
    "read_detections",
]

LONGEST_LINE = 1 << 24
"""Largest length of a line in bytes."""
TIME_DIGITS = 6
"""Decimal digits of seconds, so that times are equal whether they come from the film or from the file."""
TIME_TOLERANCE = 0.01
"""Largest difference in seconds between the time of a frame in the file and in the film."""
SHAPE = (
    'expected {"frame": 0, "time": 0.0, "boxes": [{"label": "face", "score": 0.9, "box": [left, top, right, bottom]}]}'
    ' or {"start": 1.5, "end": 3.0, "box": [left, top, right, bottom]}, in seconds'
)


@dataclass(frozen=True, kw_only=True)
class FrameDetections:
    """Detections in a frame.

    Attributes:
        frame: number of the frame, from 0.
        time: time in seconds from the first frame, rounded to microseconds as in the file.
        detections: without margin, in pixels of the upright frame.
        problem: reason why the frame could not be examined and must be covered completely; None otherwise.
    """

    frame: int
    time: float
    detections: tuple[Detection, ...] = ()
    problem: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", round(self.time, TIME_DIGITS))

    def as_line(self) -> str:
        """Return the JSON line of the frame, without a newline."""
        boxes = [_box_record(detection) for detection in self.detections]
        record: dict[str, Any] = {"frame": self.frame, "time": self.time, "boxes": boxes}
        return json.dumps(record | ({} if self.problem is None else {"problem": self.problem}), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class ManualBox:
    """Manually specified box, covered from `start` to `end` in seconds, both included."""

    start: float
    end: float
    box: tuple[float, float, float, float]
    label: str = "manual"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start <= self.end):
            raise InputError(f"start {self.start} and end {self.end} must be seconds, with start <= end")
        self.pixels()

    def pixels(self) -> Box:
        """Return the box, rounded outward."""
        return _outward(self.box)


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Valid file of detections, whose frames are read from the file on each iteration.

    Attributes:
        path: the file.
        count: number of frames; 0 for a file with manual boxes only.
        manual: the manual boxes.
        width: width of the film that was examined, in pixels; None if the file does not record it.
        height: height of the film that was examined, in pixels.
        last_track: the largest number of a track, 0 if there is none.
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
                f"{self.path}: the detections are of a film of {self.width} x {self.height} pixels, this one has "
                f"{width} x {height}; pass the detections of this film, or run `ganvas locate` on it"
            )
        if self.count not in (0, count):
            raise InputError(
                f"{self.path}: {self.count} frames, but the film has {count}; pass the detections of this film, with "
                "one line for each frame"
            )

    def require_times(self, times: Sequence[float]) -> None:
        """Compare the times of the frames with those of a film.

        Raises:
            InputError: a frame has another time than in the film; names it.
        """
        for frame in self.frames():
            if frame.frame < len(times) and abs(frame.time - times[frame.frame]) > TIME_TOLERANCE:
                raise InputError(
                    f"{self.path}: frame {frame.frame} is at {frame.time:g} s, but in the film at"
                    f" {times[frame.frame]:g} s; pass the detections of this film"
                )

    def require_reach(self, times: Sequence[float], *, width: int, height: int) -> None:
        """Require that each box is inside the frame, and that the span of each manual box contains a frame.

        Args:
            times: times of all frames, in seconds from the first, ascending.
            width: width of the frames, in pixels.
            height: height of the frames, in pixels.

        Raises:
            InputError: a box covers nothing; names it.
        """
        for box in self.manual:
            first = bisect_left(times, box.start)
            if first == len(times) or times[first] > box.end:
                end = times[-1] if times else 0.0
                span = f"{box.start:g} to {box.end:g} s contains no frame: the film has frames from 0 to {end:.3f} s"
                raise InputError(f"{self.path}: the box {_edges(box.pixels())} from {span}; correct or remove its line")
            self._require_inside(box.pixels(), "", width=width, height=height)
        for frame in self.frames():
            for detection in frame.detections:
                self._require_inside(detection.box, f"frame {frame.frame}: ", width=width, height=height)

    def _require_inside(self, box: Box, where: str, *, width: int, height: int) -> None:
        if box.clip(height, width) is None:
            raise InputError(
                f"{self.path}: {where}the box {_edges(box)} is outside the frame of {width} x {height}"
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
            raise InputError(f"track {self.track}: track numbers start at 1")
        return Detection(_outward(self.box), self.score, self.label, self.track)


@dataclass(frozen=True, kw_only=True)
class _FrameEntry:
    frame: int
    time: float
    boxes: tuple[_BoxEntry, ...]
    problem: str | None = None

    def detections(self) -> FrameDetections:
        if not math.isfinite(self.time):
            raise InputError(f"time {self.time} is not a number of seconds")
        found = tuple(entry.detection() for entry in self.boxes)
        tracks = [detection.track for detection in found if detection.track is not None]
        if twice := sorted({track for track in tracks if tracks.count(track) > 1}):
            raise InputError(f"track {twice[0]} has two boxes; change or remove the number of one")
        return FrameDetections(frame=self.frame, time=self.time, detections=found, problem=self.problem)


@dataclass(frozen=True, kw_only=True)
class _Header:
    width: int
    height: int
    detect: tuple[str, ...] = ()


Entry = FrameDetections | ManualBox | _Header


def header_line(*, width: int, height: int, detect: Sequence[str]) -> str:
    """Return the first JSON line of a file, which prevents its use for a film of another size."""
    return json.dumps({"width": width, "height": height, "detect": list(detect)}, ensure_ascii=False)


def read_detections(path: Path) -> Detections:
    """Read and validate a file of detections: a JSON line for each frame, and one for each manual box.

    Raises:
        InputError: a line is invalid, or a frame is missing, out of order or earlier than the previous one; the message
            names file and line.
    """
    count, last_track, latest = 0, 0, -math.inf
    manual: list[ManualBox] = []
    header: _Header | None = None
    for where, entry in _entries(path):
        if isinstance(entry, ManualBox):
            manual.append(entry)
        elif isinstance(entry, _Header):
            if header or count or manual:
                raise InputError(f"{where}: the size of the film must be the first line")
            header = entry
        else:
            if entry.frame != count:
                raise InputError(
                    f'{where}: frame {entry.frame}, expected {count}; each frame needs a line, with "boxes": [] if '
                    "nothing is covered"
                )
            if entry.time < latest:
                raise InputError(f"{where}: time {entry.time} is before {latest}, the time of the previous frame")
            count, latest = count + 1, entry.time
            last_track = max([last_track, *(each.track or 0 for each in entry.detections)])
    if not count and not manual:
        raise InputError(f"{path}: is empty; {SHAPE}")
    size = (None, None) if header is None else (header.width, header.height)
    return Detections(
        path=path, count=count, manual=tuple(manual), width=size[0], height=size[1], last_track=last_track
    )


def _entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Yield the position (file and line) and the content of each line that is not blank."""
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
    """Return a message about a line, without a second line number and class names."""
    if isinstance(problem, json.JSONDecodeError):
        return f"not JSON: {problem.msg[0].lower()}{problem.msg[1:]}, at character {problem.pos + 1}"
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
        raise InputError(f"box {list(corners)} contains a value that is not finite")
    left, top, right, bottom = corners
    return Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
