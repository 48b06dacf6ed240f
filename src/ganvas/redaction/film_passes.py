"""Passes over a film that is redacted: find, verify and render, each resumable from its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import FILE_ERRORS, InputError, problem_of
from ganvas.filesystem.atomic import write_json
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detection, DetectionConfig, Detector, find_boxes, outside, with_margin
from ganvas.progress import Progress
from ganvas.redaction.detections import (
    TIME_DIGITS,
    FrameDetections,
    ManualBox,
    examine,
    header_line,
    in_threads,
    read_detections,
)
from ganvas.redaction.film_covers import CoverPlan, FrameCovers, cover_frame
from ganvas.redaction.tracks import TrackingConfig
from ganvas.redaction.verifier import ClassDetector
from ganvas.serialization import read_json, read_json_lines
from ganvas.video import FilmInfo, Frame, Segment, WriteOptions, plan_segments, read_video, write_segment

__all__ = ["FilmPasses", "FilmSettings", "VerifiedFrame", "WidenedPlan"]

Mask = NDArray[np.bool_]
MAX_ROUNDS = 4
"""Widenings of a frame's covers before the frame is covered whole."""
DETECTIONS, VERIFICATION = "detections.jsonl", "verification.jsonl"
SHOWN_SIDE = 320
"""Pixels of the longer side of a picture in the report."""


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How films are redacted.

    Attributes:
        detection: detectors, minimum score, margin, and boxes that stay bare.
        tracking: how long covers are held.
        how: the style.
        verify: examine every n-th covered frame again; 0 for none.
        write: codec and quality, and what is copied; metadata never is.
        skip_damaged: repeat the frame before a damaged one instead of failing.
        preview: seconds from the beginning that are redacted; None for all.
        detections: detections that a person gave or edited; nothing is detected then.
    """

    detection: DetectionConfig
    tracking: TrackingConfig
    how: Cover
    verify: int
    write: WriteOptions
    skip_damaged: bool
    preview: float | None
    detections: Path | None


@dataclass(frozen=True, kw_only=True)
class VerifiedFrame:
    """A covered frame that was examined again.

    Attributes:
        frame: its number.
        score: the highest score of what was found in it as first covered; 0 where nothing was.
        after: likewise as covered in the end.
        boxes: added to its covers, (left, top, right, bottom).
        whole: it is covered whole, as more boxes did not help or it could not be examined.
        problem: why it could not be examined.
    """

    frame: int
    score: float
    after: float
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    whole: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class WidenedPlan:
    """Covers of every frame: planned from tracks, widened by the verification."""

    covers: CoverPlan
    size: tuple[int, int]
    added: dict[int, list[Box]] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)

    def at(self, frame: int, time: float) -> FrameCovers:
        """Return the covers of a frame."""
        covers = self.covers.at(frame, time)
        if frame in self.whole:
            return replace(covers, whole=True)
        return covers.widened(self.added[frame], *self.size) if frame in self.added else covers


@dataclass
class Found:
    """What the first pass found; frames are read from the file again."""

    path: Path | None
    manual: tuple[ManualBox, ...] = ()
    last_track: int = 0
    times: list[float] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    def frames(self) -> Iterator[FrameDetections]:
        frames = iter(()) if self.path is None else read_detections(self.path).frames()
        return (frame for frame in frames if frame.frame < len(self.times))  # a preview has fewer than the file


class FilmPasses:
    """The passes over one film."""

    def __init__(self, info: FilmInfo, work: Path, settings: FilmSettings, progress: Progress) -> None:
        self._info, self._work, self._settings, self._progress = info, work, settings, progress
        self._first: float | None = None
        self.until = None if settings.preview is None else info.start + settings.preview

    def frames(self, start: int = 0) -> Iterator[tuple[Frame, float]]:
        """Yield the frames from number `start` on, with seconds from the first frame."""
        if self._first is None:
            self._first = next(iter(read_video(self._info, stop=1, skip_damaged=True))).time
        for frame in read_video(self._info, start=start, skip_damaged=self._settings.skip_damaged):
            if self.until is not None and frame.time >= self.until:
                return
            yield frame, frame.time - self._first

    def _report(self, step: str, done: int, *, finished: bool = False) -> None:
        self._progress.check()
        expected = 0 if finished else self._info.expected_frames(self._settings.preview)
        self._progress(f"{self._info.path.name}: {step}", done, max(done, expected))

    def detect(self, detectors: Sequence[Detector]) -> Found:
        """Run the detectors on every frame that no earlier call examined; return all that is known."""
        given = self._settings.detections
        if given is not None:
            return self._given(given)
        path = self._work / DETECTIONS
        found = _resumed(path)
        found.path = path if detectors else None
        if not found.times:
            header = header_line(
                width=self._info.width, height=self._info.height, detect=self._settings.detection.detect
            )
            path.write_text(f"{header}\n", encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            frames = (
                (frame.index, time, frame.picture.as_rgb8()) for frame, time in self.frames(start=len(found.times))
            )
            for examined in examine(frames, detectors, self._settings.detection):
                file.write(f"{examined.as_line()}\n")
                file.flush()
                found.times.append(examined.time)
                if examined.problem is not None:
                    found.problems[examined.frame] = examined.problem
                self._report("examine", len(found.times))
        if not found.times:
            raise InputError(f"{self._info.path}: no frame in it")
        self._report("examine", len(found.times), finished=True)
        return found

    def _given(self, path: Path) -> Found:
        """Return the detections that a person gave; the times of the frames are the film's own."""
        given = read_detections(path)
        found = Found(path, given.manual, given.last_track)
        for _, time in self.frames():
            found.times.append(round(time, TIME_DIGITS))
            self._report("read", len(found.times))
        self._report("read", len(found.times), finished=True)
        count = len(found.times) if self.until is None else given.count  # a preview has fewer frames
        given.require_fit(count=count, width=self._info.width, height=self._info.height)
        if self.until is None:  # the box of a preview may begin later
            given.require_reach(found.times, width=self._info.width, height=self._info.height)
        problems = {frame.frame: frame.problem for frame in given.frames() if frame.problem is not None}
        found.problems = {frame: problem for frame, problem in problems.items() if frame < len(found.times)}
        return found

    def verify(self, plan: WidenedPlan, mask: Mask | None, detectors: Sequence[Detector]) -> list[VerifiedFrame]:
        """Examine covered frames at the rate asked for; add boxes to the plan until nothing is found in them."""
        every = self._settings.verify
        if not every or not detectors:
            return []
        path = self._work / VERIFICATION
        verified = [_verified(line) for line in read_json_lines(path)]
        known = {one.frame for one in verified}
        with path.open("a", encoding="utf-8") as file:
            frames = self.frames(start=max(known, default=-1) + 1)
            chosen = ((frame, time) for frame, time in frames if frame.index % every == 0)
            for one in in_threads(lambda item: self._verify(*item, plan, mask, detectors), chosen):
                file.write(f"{json.dumps(vars(one))}\n")
                file.flush()
                verified.append(one)
                self._report("verify", one.frame + 1)
        self._report("verify", verified[-1].frame + 1, finished=True)
        for one in verified:
            # A frame that was not examined again is as its neighbor that was.
            near = range(max(0, one.frame - every + 1), one.frame + every)
            for index in near:
                if one.boxes:
                    plan.added.setdefault(index, []).extend(Box(*corners) for corners in one.boxes)
                if one.whole:
                    plan.whole.add(index)
        return verified

    def _verify(
        self, frame: Frame, time: float, plan: WidenedPlan, mask: Mask | None, detectors: Sequence[Detector]
    ) -> VerifiedFrame:
        config, boxes, scores = self._settings.detection, list[Box](), list[float]()
        height, width = plan.size
        for _ in range(MAX_ROUNDS):
            covers = plan.at(frame.index, time).widened(boxes, height, width)
            covered, changed = _covered(frame.picture, covers, mask, self._settings.how)
            if covers.whole:
                return VerifiedFrame(frame=frame.index, score=0.0, after=0.0, whole=True)
            try:
                found = find_boxes(covered.as_rgb8(), detectors, config)
            except FILE_ERRORS as error:
                return VerifiedFrame(frame=frame.index, score=1.0, after=0.0, whole=True, problem=problem_of(error))
            if self._settings.how.style == "solid":
                found = _visible(found, changed, detectors)
            scores.append(max((one.score for one in found), default=0.0))
            if not found:
                break
            boxes += _new_boxes(found, covers, height, width)
        whole = scores[-1] > 0
        corners = tuple((box.left, box.top, box.right, box.bottom) for box in boxes)
        after = 0.0 if whole else scores[-1]
        return VerifiedFrame(frame=frame.index, score=scores[0], after=after, boxes=corners, whole=whole)

    def render(
        self, plan: WidenedPlan, mask: Mask | None, out: Path, options: WriteOptions, wanted: Sequence[int]
    ) -> tuple[list[Path], list[int]]:
        """Render each segment that no earlier call rendered; return the parts and the repeated frames."""
        parts, repeated, done = list[Path](), list[int](), 0
        for segment in plan_segments(self._info):
            if self.until is not None and not self._has_frames(segment):
                break
            part = self._work / f"part-{segment.number:04d}"
            record = part.with_suffix(".json")
            if not (part.exists() and record.exists()):
                written: list[int] = []
                frames = self._rendered(segment, plan, mask, set(wanted), written)
                count = write_segment(part, frames, like=self._info, out=out, options=options)
                write_json(record, {"frames": count, "repeated": written})
            told = read_json(record)
            done += told["frames"]
            repeated += told["repeated"]
            parts.append(part)
            self._report("render", done)
        self._report("render", done, finished=True)
        return parts, repeated

    def _has_frames(self, segment: Segment) -> bool:
        assert self.until is not None
        return segment.start is None or segment.start * self._info.time_base < self.until

    def _rendered(
        self, segment: Segment, plan: WidenedPlan, mask: Mask | None, wanted: set[int], repeated: list[int]
    ) -> Iterator[Frame]:
        assert self._first is not None
        for frame in read_video(self._info, segment=segment, skip_damaged=self._settings.skip_damaged):
            if self.until is not None and frame.time >= self.until:
                return
            self._report("render", frame.index + 1)
            covers = plan.at(frame.index, frame.time - self._first)
            picture, changed = _covered(frame.picture, covers, mask, self._settings.how)
            if frame.repeated:
                repeated.append(frame.index)
            if frame.index in wanted:
                write_image(self._shown_path(frame.index), _small(picture))
            yield frame.with_picture(picture, changed=changed)

    def shown(self, wanted: Sequence[int]) -> dict[int, Picture]:
        """Return the frames for the report, as covered."""
        paths = {index: self._shown_path(index) for index in wanted}
        return {index: read_image(path) for index, path in paths.items() if path.exists()}

    def _shown_path(self, index: int) -> Path:
        return self._work / f"shown-{index:06d}.png"


def _resumed(path: Path) -> Found:
    """Return what an earlier call found; its unfinished last line is removed, and so is a file that is damaged."""
    if not path.exists():
        return Found(path)
    whole, newline, _ = path.read_bytes().rpartition(b"\n")
    path.write_bytes(whole + newline)
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


def _visible(found: Sequence[Detection], filled: Mask, detectors: Sequence[Detector]) -> list[Detection]:
    """Return what is not merely the filled region taken for an object; a class that is still recognized always counts.

    The boxes of a class map say where the evidence is, not what can be seen there.
    """
    classes = {detector.name for detector in detectors if isinstance(detector, ClassDetector)}
    named = [one for one in found if one.label in classes]
    return named + outside([one for one in found if one.label not in classes], filled)


def _new_boxes(found: Sequence[Detection], covers: FrameCovers, height: int, width: int) -> list[Box]:
    """Return boxes to add: twice the margin round what is found, or more where a cover already holds it."""
    region = covers.region(height, width)
    boxes = []
    for one in found:
        inside = one.box.clip(height, width)
        is_covered = inside is not None and region[inside.top : inside.bottom, inside.left : inside.right].all()
        boxes.append(with_margin(one.box, 0.5) if is_covered else one.box)
    return boxes


def _covered(picture: Picture, covers: FrameCovers, mask: Mask | None, how: Cover) -> tuple[Picture, Mask]:
    """Cover what the plan and the static region say; return the picture and where it may have changed."""
    covered, changed = cover_frame(picture, covers, how)
    if mask is not None and mask.any() and not covers.whole:
        covered, changed = cover_picture(covered, mask, how), changed | mask
    return covered, changed


def _small(picture: Picture) -> Picture:
    """Return every n-th pixel of a frame as 8-bit RGB, for the report."""
    rgb = picture.as_rgb8()
    step = max(1, max(rgb.shape[:2]) // SHOWN_SIDE)
    return Picture(np.ascontiguousarray(rgb[::step, ::step]))
