"""Redaction of a film in passes: examines every frame, plans covers over time, verifies them, and renders.

    .NAME.ganvas/                 working folder beside the result, until it is finished
        detections.jsonl          detections in each frame; 0000-detections.jsonl: those of a segment
        verification.jsonl        remaining detections in the covered frames, and the boxes added for them
        part-0000 part-0000.json  rendered segments, and the frames that replace damaged ones
        shown-000123.png          frames for the report

Each pass resumes from its file, so that a killed redaction resumes and gives the same bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detector
from ganvas.progress import Progress
from ganvas.redaction.detections import ManualBox
from ganvas.redaction.film_covers import plan_covers
from ganvas.redaction.film_passes import FilmPasses, FilmSettings, Found
from ganvas.redaction.film_verification import VerifiedFrame, WidenedPlan
from ganvas.redaction.tracks import Tracker
from ganvas.redaction.verifier import boxes_of
from ganvas.video import (
    FilmInfo,
    WriteOptions,
    check_writable,
    join_segments,
    probe,
    read_video,
)

__all__ = ["FilmRedaction", "doubts", "lowest_scores", "plan_film", "redact_film", "write_options"]

Mask = NDArray[np.bool_]
SHOWN_TRACKS = 60
"""Largest number of tracks that the report shows with a picture."""
SHOWN_DOUBTS = 12
"""Number of least certain frames that the report shows."""


@dataclass(frozen=True, kw_only=True)
class FilmRedaction:
    """Result of redacting a film.

    Attributes:
        info: properties of the original.
        num_frames: number of frames of the result.
        times: times of the frames, in seconds from the first.
        tracker: tracks, and the examined frames.
        plan: covers of each frame, including those added by the verification.
        problems: frame -> reason why it could not be examined, so that it is covered completely.
        verified: the frames that were examined again.
        repeated: frames that replace damaged ones.
        shown: frame -> covered picture for the report.
        given: boxes of the user's boxes or mask, covered in every frame.
        manual: boxes of the user for spans of time, and the first frame that each covers; for a preview, only those
            that begin in it.
        sound_tracks: number of copied sound tracks, which were not examined.
        dropped: streams and metadata of the original that the result does not contain.
    """

    info: FilmInfo
    num_frames: int
    times: tuple[float, ...]
    tracker: Tracker
    plan: WidenedPlan
    problems: dict[int, str]
    verified: tuple[VerifiedFrame, ...]
    repeated: tuple[int, ...]
    shown: dict[int, Picture]
    given: tuple[Box, ...]
    manual: tuple[tuple[ManualBox, int], ...]
    sound_tracks: int
    dropped: tuple[str, ...]


def redact_film(
    source: Path,
    out: Path,
    work: Path,
    settings: FilmSettings,
    *,
    detectors: Sequence[Detector],
    region: Callable[[Picture], Mask | None],
    progress: Progress,
) -> FilmRedaction:
    """Redact one film; the finished file appears atomically, and the caller removes the working folder.

    Args:
        source: the film.
        out: the output file; its suffix determines the container.
        work: the working folder, new or from an earlier call with the same film and settings.
        settings: see `FilmSettings`.
        detectors: detectors loaded with one thread each; empty if `settings.detections` or `region` determines the
            covers.
        region: the first frame -> (H, W) bool, an additional region covered in every frame; None for no region.
        progress: receives the number of finished frames of each pass, and can cancel.

    Raises:
        VideoError: the film cannot be read, or the result cannot be written.
        InputError: the detections belong to another film.
        Cancelled: see `Progress.check`.
    """
    info = probe(source)
    film = FilmPasses(info, work, settings, progress)
    options = write_options(settings, film)
    check_writable(out, like=info, options=options)
    work.mkdir(parents=True, exist_ok=True)
    # 1. Detect and plan: link detections into tracks, and let covers begin early, span gaps and end late.
    planned = plan_film(info, film, settings, detectors, region)
    found, tracker, plan, mask = planned.found, planned.tracker, planned.plan, planned.mask
    # 2. Verify: examine the covered frames, and cover remaining detections in the frame and its unverified neighbors.
    verified = film.verify(plan, mask, detectors)
    # 3. Render segments cut at key frames, and join them with the sound.
    by_hand = planned.by_hand()
    wanted = planned.wanted(verified)
    parts, repeated = film.render(plan, mask, out, options, wanted)
    report = join_segments(out, parts, like=info, options=options)
    return FilmRedaction(
        info=info,
        num_frames=report.num_frames,
        times=tuple(found.times),
        tracker=tracker,
        plan=plan,
        problems=found.problems,
        verified=tuple(verified),
        repeated=tuple(repeated),
        shown=film.shown(wanted),
        given=() if mask is None else tuple(boxes_of(mask)),
        manual=by_hand,
        sound_tracks=report.sound_tracks,
        dropped=tuple(report.dropped),
    )


def write_options(settings: FilmSettings, film: FilmPasses) -> WriteOptions:
    """Return the options of the writer of a redacted film: no metadata, and the end of a preview."""
    return replace(settings.write, metadata=False, until=film.until)


@dataclass(frozen=True, kw_only=True)
class PlannedFilm:
    """Covers of a film before verification.

    Attributes:
        found: detections of each frame.
        tracker: tracks of the detections.
        plan: covers of each frame.
        mask: (H, W) bool, an additional region covered in every frame; None for no region.
    """

    found: Found
    tracker: Tracker
    plan: WidenedPlan
    mask: Mask | None

    def by_hand(self) -> tuple[tuple[ManualBox, int], ...]:
        """Return the user's boxes for spans of time, each with the first frame that it covers."""
        times = self.found.times
        firsts = ((box, bisect_left(times, box.start)) for box in self.found.manual)
        return tuple((box, frame) for box, frame in firsts if frame < len(times))

    def wanted(self, verified: Sequence[VerifiedFrame]) -> list[int]:
        """Return the frames for the report: the most certain of each track, the least certain, those of boxes."""
        tracks = sorted(self.tracker.tracks, key=lambda track: -len(track.frames))[:SHOWN_TRACKS]
        surest = [track.frames[int(np.argmax(track.scores))] for track in tracks]
        boxes = [frame for _, frame in self.by_hand()[:SHOWN_TRACKS]]
        return sorted({*surest, *doubts(self.tracker, self.found.problems, verified), *boxes})


def plan_film(
    info: FilmInfo,
    film: FilmPasses,
    settings: FilmSettings,
    detectors: Sequence[Detector],
    region: Callable[[Picture], Mask | None],
) -> PlannedFilm:
    """Detect in the frames that no earlier call examined, and plan the covers; see `redact_film`."""
    found = film.detect(detectors)
    tracker = Tracker(settings.tracking, numbered=found.last_track)
    for frame in found.frames():
        tracker.add(frame)
    covers = plan_covers(tracker, settings.detection, height=info.height, width=info.width, manual=found.manual)
    mask = region(next(iter(read_video(info, stop=1, skip_damaged=True))).picture)
    return PlannedFilm(found=found, tracker=tracker, plan=WidenedPlan(covers, (info.height, info.width)), mask=mask)


def lowest_scores(tracker: Tracker) -> dict[int, float]:
    """Return the lowest detection score of each frame with detections."""
    scores: dict[int, float] = {}
    for track in tracker.tracks:
        for frame, score in zip(track.frames, track.scores, strict=True):
            scores[frame] = min(score, scores.get(frame, 1.0))
    return scores


def doubts(tracker: Tracker, problems: dict[int, str], verified: Sequence[VerifiedFrame]) -> list[int]:
    """Return the least certain frames, the most doubtful first: not examined, widened, then those of low scores."""
    widened = sorted((one for one in verified if one.boxes or one.whole), key=lambda one: -one.score)
    scores = lowest_scores(tracker)
    low = sorted(scores, key=lambda frame: scores[frame])
    every = [*problems, *(one.frame for one in widened), *low]
    return list(dict.fromkeys(every))[:SHOWN_DOUBTS]
