"""Multi-object tracking: detections linked over the frames of a film, by motion and the Hungarian algorithm."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError
from ganvas.image.picture import Box
from ganvas.localization.detectors import Detection, intersection_over_union
from ganvas.redaction.detections import FrameDetections

__all__ = ["Edges", "Track", "Tracker", "TrackingConfig", "centers_of"]

Edges = NDArray[np.float64]
LEAST_OVERLAP = 0.1
"""Intersection over union from which a detection may continue a track."""
REACH = 1.0
"""Without that overlap it may too, if its center lies within so many mean sides of where the track should be, ..."""
DRIFT = 3.0
"""... and so many more for each second since, in which it may have turned."""
SCALE = 3.0
"""Largest ratio of the sides of two boxes of one track that follow each other."""
LONGEST = 60
"""Largest hold and gap, in seconds."""
MEMORY = 0.5
"""Weight of the newest velocity in the estimate of a track's velocity."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """How detections become covers over time."""

    hold: float = 0.5
    """Seconds that a cover begins before the first detection and ends after the last."""
    gap: float = 1.0
    """Longest time in seconds without a detection within a track; twice `hold` where that is longer."""

    def __post_init__(self) -> None:
        for name, value in (("hold", self.hold), ("gap", self.gap)):
            if not 0 <= value <= LONGEST:
                raise ConfigError(f"{name} {value} must lie in 0..{LONGEST} seconds")

    @property
    def longest_gap(self) -> float:
        """Longest time that a track is remembered."""
        return max(self.gap, 2 * self.hold)


@dataclass(eq=False)
class Track:
    """Detections of one object in consecutive frames, in compact form.

    Attributes:
        number: counted from 1.
        label: what it is.
        frames: in which it was found.
        times: of these frames, in seconds.
        edges: left, top, right and bottom in each, one after the other.
        scores: of each detection.
        velocity: of its center, in pixels a second.
    """

    number: int
    label: str
    frames: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    edges: array[int] = field(default_factory=lambda: array("i"))
    scores: array[float] = field(default_factory=lambda: array("f"))
    velocity: Edges = field(default_factory=lambda: np.zeros(2))

    def add(self, frame: FrameDetections, detection: Detection) -> None:
        """Append a detection."""
        box = detection.box
        if self.frames and (passed := frame.time - self.times[-1]) > 0:
            moved = centers_of(edges_of(box)) - centers_of(self.last())
            self.velocity = (1 - MEMORY) * self.velocity + MEMORY * moved / passed
        self.frames.append(frame.frame)
        self.times.append(frame.time)
        self.edges.extend((box.left, box.top, box.right, box.bottom))
        self.scores.append(detection.score)

    def last(self) -> Edges:
        """Return the edges (4,) of the latest detection."""
        return np.array(self.edges[-4:], np.float64)

    def expected(self, time: float) -> Edges:
        """Return the edges (4,) at which the next detection is expected."""
        return self.last() + np.tile(self.velocity * (time - self.times[-1]), 2)


class Tracker:
    """Online linking of detections into tracks: motion prediction, overlap, and the Hungarian algorithm.

    Args:
        config: hold and gap.
        numbered: tracks up to this number are given by the detections themselves; see `Detections.last_track`.

    Attributes:
        config: hold and gap.
        examined: for each frame added, 1 where it was examined, else 0.
    """

    def __init__(self, config: TrackingConfig | None = None, *, numbered: int = 0) -> None:
        self.config = config or TrackingConfig()
        self.examined = bytearray()
        self._tracks: dict[int, Track] = {}
        self._open: list[Track] = []
        self._next = numbered + 1

    @property
    def tracks(self) -> list[Track]:
        """All tracks so far, by their numbers."""
        return [self._tracks[number] for number in sorted(self._tracks)]

    def add(self, frame: FrameDetections) -> FrameDetections:
        """Add the next frame, and return it with the number of each detection's track.

        A detection that has a number already keeps it, whatever lies between.
        """
        assert frame.frame >= len(self.examined), "frames come in order"
        self.examined.extend(bytes(frame.frame - len(self.examined)))  # frames left out were not examined
        self.examined.append(frame.problem is None)
        self._open = [track for track in self._open if frame.time - track.times[-1] <= self.config.longest_gap]
        given = [found.track is not None for found in frame.detections]
        loose = [found for found, has in zip(frame.detections, given, strict=True) if not has]
        taken = {found.track for found in frame.detections}
        linked = iter(self._link(loose, frame.time, taken))
        tracks = []
        for found, has in zip(frame.detections, given, strict=True):
            track = self._numbered(found) if has else next(linked) or self._new(found.label)
            track.add(frame, found)
            tracks.append(track.number)
        pairs = zip(frame.detections, tracks, strict=True)
        return replace(frame, detections=tuple(replace(found, track=number) for found, number in pairs))

    def _new(self, label: str, number: int | None = None) -> Track:
        track = Track(number or self._next, label)
        self._next += number is None
        self._tracks[track.number] = track
        self._open.append(track)
        return track

    def _numbered(self, found: Detection) -> Track:
        assert found.track is not None
        if (track := self._tracks.get(found.track)) is None:
            return self._new(found.label, found.track)
        if track not in self._open:
            self._open.append(track)
        return track

    def _link(self, found: list[Detection], time: float, taken: set[int | None]) -> list[Track | None]:
        """Return the track that each detection continues, or None."""
        linked: list[Track | None] = [None] * len(found)
        for label in {detection.label for detection in found}:
            rows = [track for track in self._open if track.label == label and track.number not in taken]
            columns = [index for index, detection in enumerate(found) if detection.label == label]
            if not rows:
                continue
            expected = np.stack([track.expected(time) for track in rows])
            edges = np.stack([edges_of(found[index].box) for index in columns])
            reach = np.array([REACH + DRIFT * (time - track.times[-1]) for track in rows])
            for row, column in _assigned(expected, edges, reach):
                linked[columns[column]] = rows[row]
        return linked


def _assigned(expected: Edges, found: Edges, reach: Edges) -> list[tuple[int, int]]:
    """Return pairs of expected (N, 4) and found (M, 4) boxes: the most alike in sum, none that are too unlike.

    reach: (N,) largest distance of each, in mean sides.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    overlap = intersection_over_union(expected[:, None], found[None])
    sides = [np.sqrt(np.prod(each[:, 2:] - each[:, :2], axis=1)) for each in (expected, found)]
    mean, ratio = (sides[0][:, None] + sides[1]) / 2, sides[0][:, None] / sides[1]
    distance = np.linalg.norm(centers_of(expected)[:, None] - centers_of(found), axis=2) / mean
    near = np.clip(1 - distance / reach[:, None], 0, None)
    likeness = overlap + near
    likeness[(overlap < LEAST_OVERLAP) & (near == 0) | (ratio > SCALE) | (ratio < 1 / SCALE)] = 0
    rows, columns = linear_sum_assignment(-likeness)
    return [(row, column) for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if likeness[row, column]]


def edges_of(box: Box) -> Edges:
    """Return left, top, right and bottom of a box as numbers (4,)."""
    return np.array([box.left, box.top, box.right, box.bottom], np.float64)


def centers_of(edges: Edges) -> Edges:
    """Return the centers (..., 2) of boxes (..., 4)."""
    return (edges[..., :2] + edges[..., 2:]) / 2
