"""Passes of a film's redaction: detect, verify and render, each resumable from its file.

The workers of a cluster write segments of a pass into separate files (`detect_segment` and so on); once the driver has
collected them, the pass finds all of its work done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import InputError
from ganvas.filesystem.atomic import atomic_file, remove_unfinished_line, write_json, write_text
from ganvas.image.cover import Cover
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import DetectionConfig, Detector
from ganvas.progress import Progress
from ganvas.redaction.detections import TIME_DIGITS, FrameDetections, ManualBox, header_line, read_detections
from ganvas.redaction.examination import examine, in_threads
from ganvas.redaction.film_verification import VerifiedFrame, WidenedPlan, covered_frame, verify_frame
from ganvas.redaction.tracks import TrackingConfig
from ganvas.serialization import read_json, read_json_lines
from ganvas.video import FilmInfo, Frame, Segment, WriteOptions, plan_segments, read_video, write_segment

__all__ = ["DETECTIONS", "VERIFICATION", "FilmPasses", "FilmSettings", "Found"]

Mask = NDArray[np.bool_]
DETECTIONS, VERIFICATION, TIMES = "detections.jsonl", "verification.jsonl", "times.json"
SHOWN_SIDE = 320
"""Longer side of a picture in the report, in pixels."""


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """Settings of the redaction of films.

    Attributes:
        detection: detectors, minimum score, margin, and kept boxes.
        tracking: settings of tracks and held covers.
        how: the style.
        verify: examine every n-th covered frame again; 0 for none.
        write: codec, quality, and streams to copy; metadata are never copied.
        skip_damaged: replace damaged frames by the previous frame instead of failing.
        preview: seconds from the beginning that are redacted; None for all.
        detections: user detections, in place of running detectors.
    """

    detection: DetectionConfig
    tracking: TrackingConfig
    how: Cover
    verify: int
    write: WriteOptions
    skip_damaged: bool
    preview: float | None
    detections: Path | None


@dataclass
class Found:
    """Result of the first pass, whose frames are read from its file.

    Attributes:
        path: path of the detections; None if nothing was detected.
        manual: the user's boxes for spans of time.
        last_track: largest track number in user detections.
        times: times of the frames, in seconds from the first.
        problems: frame -> reason why it could not be examined.
    """

    path: Path | None
    manual: tuple[ManualBox, ...] = ()
    last_track: int = 0
    times: list[float] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    def frames(self) -> Iterator[FrameDetections]:
        """Yield the detections of each frame."""
        frames = iter(()) if self.path is None else read_detections(self.path).frames()
        return (frame for frame in frames if frame.frame < len(self.times))  # a preview has fewer frames than the file


class FilmPasses:
    """Passes over one film."""

    def __init__(self, info: FilmInfo, work: Path, settings: FilmSettings, progress: Progress) -> None:
        self._info, self._work, self._settings, self._progress = info, work, settings, progress
        self._first: float | None = None
        self.until = None if settings.preview is None else info.start + settings.preview

    def frames(self, start: int = 0, segment: Segment | None = None) -> Iterator[tuple[Frame, float]]:
        """Yield the frames from number `start` on, or those of a segment, with seconds from the first frame."""
        first = self._first_time()
        damaged = self._settings.skip_damaged
        for frame in read_video(self._info, start=start, segment=segment, skip_damaged=damaged):
            if self.until is not None and frame.time >= self.until:
                return
            yield frame, frame.time - first

    def _first_time(self) -> float:
        if self._first is None:
            self._first = next(iter(read_video(self._info, stop=1, skip_damaged=True))).time
        return self._first

    def segments(self) -> list[Segment]:
        """Return the segments of the film, or of its preview."""
        return [one for one in plan_segments(self._info) if self.until is None or self._has_frames(one)]

    def _report(self, step: str, done: int, *, finished: bool = False) -> None:
        self._progress.check()
        expected = 0 if finished else self._info.expected_frames(self._settings.preview)
        self._progress(f"{self._info.path.name}: {step}", done, max(done, expected))

    def detect(self, detectors: Sequence[Detector]) -> Found:
        """Run the detectors on every frame that no earlier call examined, and return the result of the pass."""
        given = self._settings.detections
        if given is not None:
            return self._given(given)
        path = self._work / DETECTIONS
        found = _resumed(path)
        found.path = path if detectors else None
        if not found.times:
            path.write_text(self._header(), encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            for examined in self._examined(self.frames(start=len(found.times)), detectors):
                file.write(f"{examined.as_line()}\n")
                file.flush()
                found.times.append(examined.time)
                if examined.problem is not None:
                    found.problems[examined.frame] = examined.problem
                self._report("examine", len(found.times))
        if not found.times:
            raise InputError(f"{self._info.path}: contains no frame")
        self._report("examine", len(found.times), finished=True)
        return found

    def _header(self) -> str:
        width, height, detect = self._info.width, self._info.height, self._settings.detection.detect
        return f"{header_line(width=width, height=height, detect=detect)}\n"

    def _examined(
        self, frames: Iterator[tuple[Frame, float]], detectors: Sequence[Detector]
    ) -> Iterator[FrameDetections]:
        pictures = ((frame.index, time, frame.picture) for frame, time in frames)
        return examine(pictures, detectors, self._settings.detection)

    def detect_segment(self, segment: Segment, detectors: Sequence[Detector]) -> None:
        """Run the detectors on the frames of a segment."""
        found = self._examined(self.frames(segment=segment), detectors)
        self._write_lines(DETECTIONS, segment, (one.as_line() for one in found))

    def verify_segment(
        self, segment: Segment, plan: WidenedPlan, mask: Mask | None, detectors: Sequence[Detector]
    ) -> None:
        """Examine covered frames of a segment without changing the plan."""
        verified = self._verified(self.frames(segment=segment), plan, mask, detectors)
        self._write_lines(VERIFICATION, segment, (json.dumps(vars(one)) for one in verified))

    def _write_lines(self, name: str, segment: Segment, lines: Iterator[str]) -> None:
        with atomic_file(self._segment_path(name, segment)) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    def _segment_path(self, name: str, segment: Segment) -> Path:
        return self._work / f"{segment.number:04d}-{name}"

    def waiting(self, name: str) -> list[Segment]:
        """Return the segments of a pass, `DETECTIONS` or `VERIFICATION`, that are neither finished nor collected."""
        if (self._work / name).exists():
            return []
        return [one for one in self.segments() if not self._segment_path(name, one).exists()]

    def collect(self, name: str) -> None:
        """Join the lines of all segments of a pass into the file of the pass."""
        if (self._work / name).exists():
            return
        parts = [self._segment_path(name, one).read_text(encoding="utf-8") for one in self.segments()]
        write_text(self._work / name, "".join([self._header() if name == DETECTIONS else "", *parts]))

    def _given(self, path: Path) -> Found:
        """Return the user detections, with the timestamps of the film."""
        given = read_detections(path)
        found = Found(path, given.manual, given.last_track, self._times())
        count = len(found.times) if self.until is None else given.count  # a preview has fewer frames
        given.require_fit(count=count, width=self._info.width, height=self._info.height)
        given.require_times(found.times)
        if self.until is None:  # a box may begin after the end of a preview
            given.require_reach(found.times, width=self._info.width, height=self._info.height)
        problems = {frame.frame: frame.problem for frame in given.frames() if frame.problem is not None}
        found.problems = {frame: problem for frame, problem in problems.items() if frame < len(found.times)}
        return found

    def _times(self) -> list[float]:
        """Return the times of all frames; only the first call decodes the film."""
        path = self._work / TIMES
        if path.exists():
            return [float(time) for time in read_json(path)]
        times = list[float]()
        for _, time in self.frames():
            times.append(round(time, TIME_DIGITS))
            self._report("read", len(times))
        self._report("read", len(times), finished=True)
        write_json(path, times)
        return times

    def verify(self, plan: WidenedPlan, mask: Mask | None, detectors: Sequence[Detector]) -> list[VerifiedFrame]:
        """Examine covered frames at the configured rate, and add boxes until nothing is detected in them."""
        every = self._settings.verify
        if not every or not detectors:
            return []
        path = self._work / VERIFICATION  # flushed after each frame, so that an interrupted call can be resumed
        remove_unfinished_line(path)
        verified = [_verified(line) for line in read_json_lines(path)]
        known = {one.frame for one in verified}
        with path.open("a", encoding="utf-8") as file:
            frames = self.frames(start=max(known, default=-1) + 1)
            for one in self._verified(frames, plan, mask, detectors):
                file.write(f"{json.dumps(vars(one))}\n")
                file.flush()
                verified.append(one)
                self._report("verify", one.frame + 1)
        self._report("verify", verified[-1].frame + 1, finished=True)
        for one in verified:
            # A frame that was not examined again gets the boxes of its nearest examined neighbor.
            near = range(max(0, one.frame - every + 1), one.frame + every)
            for index in near:
                if one.boxes:
                    plan.added.setdefault(index, []).extend(Box(*corners) for corners in one.boxes)
                if one.whole:
                    plan.whole.add(index)
        return verified

    def _verified(
        self,
        frames: Iterator[tuple[Frame, float]],
        plan: WidenedPlan,
        mask: Mask | None,
        detectors: Sequence[Detector],
    ) -> Iterator[VerifiedFrame]:
        """Yield the result for each frame that is examined again."""
        every, config, how = self._settings.verify, self._settings.detection, self._settings.how
        chosen = ((frame, time) for frame, time in frames if frame.index % every == 0)
        return in_threads(lambda item: verify_frame(*item, plan, mask, detectors, config=config, how=how), chosen)

    def render(
        self, plan: WidenedPlan, mask: Mask | None, out: Path, options: WriteOptions, wanted: Sequence[int]
    ) -> tuple[list[Path], list[int]]:
        """Render the segments that no earlier call rendered; return the parts and the repeated frames."""
        parts, repeated, done = list[Path](), list[int](), 0
        for segment in self.segments():
            if not self.is_rendered(segment):
                self.render_segment(segment, plan, mask, out, options, wanted)
            told = read_json(self._part(segment).with_suffix(".json"))
            done += told["frames"]
            repeated += told["repeated"]
            parts.append(self._part(segment))
            self._report("render", done)
        self._report("render", done, finished=True)
        return parts, repeated

    def render_segment(
        self,
        segment: Segment,
        plan: WidenedPlan,
        mask: Mask | None,
        out: Path,
        options: WriteOptions,
        wanted: Sequence[int],
    ) -> None:
        """Render one segment."""
        written: list[int] = []
        frames = self._rendered(segment, plan, mask, set(wanted), written)
        count = write_segment(self._part(segment), frames, like=self._info, out=out, options=options)
        write_json(self._part(segment).with_suffix(".json"), {"frames": count, "repeated": written})

    def is_rendered(self, segment: Segment) -> bool:
        """Return whether an earlier call rendered a segment."""
        part = self._part(segment)
        return part.exists() and part.with_suffix(".json").exists()

    def _part(self, segment: Segment) -> Path:
        return self._work / f"part-{segment.number:04d}"

    def _has_frames(self, segment: Segment) -> bool:
        assert self.until is not None
        return segment.start is None or segment.start * self._info.time_base < self.until

    def _rendered(
        self, segment: Segment, plan: WidenedPlan, mask: Mask | None, wanted: set[int], repeated: list[int]
    ) -> Iterator[Frame]:
        first = self._first_time()
        for frame in read_video(self._info, segment=segment, skip_damaged=self._settings.skip_damaged):
            if self.until is not None and frame.time >= self.until:
                return
            self._report("render", frame.index + 1)
            covers = plan.at(frame.index, frame.time - first)
            picture, changed = covered_frame(frame.picture, covers, mask, self._settings.how)
            if frame.repeated:
                repeated.append(frame.index)
            if frame.index in wanted:
                write_image(self._shown_path(frame.index), _small(picture))
            yield frame.with_picture(picture, changed=changed)

    def shown(self, wanted: Sequence[int]) -> dict[int, Picture]:
        """Return the covered frames for the report."""
        paths = {index: self._shown_path(index) for index in wanted}
        return {index: read_image(path) for index, path in paths.items() if path.exists()}

    def _shown_path(self, index: int) -> Path:
        return self._work / f"shown-{index:06d}.png"


def _resumed(path: Path) -> Found:
    """Return the results of an earlier call, removing an unfinished last line or a damaged file."""
    if not path.exists():
        return Found(path)
    remove_unfinished_line(path)
    try:
        found = Found(path)
        for frame in read_detections(path).frames():
            found.times.append(frame.time)
            if frame.problem is not None:
                found.problems[frame.frame] = frame.problem
    except InputError:
        path.unlink()
        return Found(path)
    return found


def _verified(line: dict[str, Any]) -> VerifiedFrame:
    return VerifiedFrame(**{**line, "boxes": tuple(tuple(corners) for corners in line["boxes"])})


def _small(picture: Picture) -> Picture:
    """Return a frame subsampled to every n-th pixel as 8-bit RGB, for the report."""
    rgb = picture.as_rgb8()
    step = max(1, max(rgb.shape[:2]) // SHOWN_SIDE)
    return Picture(np.ascontiguousarray(rgb[::step, ::step]))
