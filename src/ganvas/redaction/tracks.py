"""Multi-object tracking: links detections over the frames of a film by motion and the Hungarian algorithm."""

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
"""Smallest intersection over union at which a detection may continue a track."""
REACH = 1.0
"""Without that overlap, largest distance of a detection's center from the expected position, in mean sides of the box,
..."""
DRIFT = 3.0
"""... and its increase per second without a detection, in which the motion may have changed."""
SCALE = 3.0
"""Largest ratio of the sides of successive boxes of a track."""
LONGEST = 60
"""Largest hold and gap, in seconds."""
MEMORY = 0.5
"""Weight of the newest velocity in the estimate of a track's velocity."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Settings of tracks and of covers over time."""

    hold: float = 0.5
    """Seconds that a cover begins before the first detection and ends after the last."""
    gap: float = 1.0
    """Longest time in seconds without a detection within a track; twice `hold` if that is longer."""

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
        number: number of the track, from 1.
        label: class of the object.
        frames: frames with a detection.
        times: times of these frames, in seconds.
        edges: left, top, right and bottom in each frame, concatenated.
        scores: score of each detection.
        velocity: velocity of the center, in pixels per second.
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
        numbered: largest track number assigned by the detections themselves; see `Detections.last_track`.

    Attributes:
        config: hold and gap.
        examined: for each added frame, 1 if it was examined, else 0.
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

        A detection that already has a track number keeps it.
        """
        assert frame.frame >= len(self.examined), "frames must be added in order"
        # 1. Record which frames were examined; skipped frames were not.
        self.examined.extend(bytes(frame.frame - len(self.examined)))
        self.examined.append(frame.problem is None)

        # 2. Close tracks without a detection for too long, so that a later object does not continue them.
        self._open = [track for track in self._open if frame.time - track.times[-1] <= self.config.longest_gap]

        # 3. Link detections without a number; a track that a numbered detection continues takes no other detection.
        given = [found.track is not None for found in frame.detections]
        loose = [found for found, has in zip(frame.detections, given, strict=True) if not has]
        taken = {found.track for found in frame.detections}
        linked = iter(self._link(loose, frame.time, taken))

        # 4. Append each detection to its track, or start a new track.
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
        for label in {detection.label for detection in found}:  # an object keeps its class
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
    """Assign found (M, 4) to expected (N, 4) boxes with the largest total similarity, excluding dissimilar pairs.

    reach: (N,) largest distance of each, in mean sides.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    # 1. Compute overlap, and closeness relative to the mean side: small or fast objects may not overlap.
    overlap = intersection_over_union(expected[:, None], found[None])
    sides = [np.sqrt(np.prod(each[:, 2:] - each[:, :2], axis=1)) for each in (expected, found)]
    mean, ratio = (sides[0][:, None] + sides[1]) / 2, sides[0][:, None] / sides[1]
    distance = np.linalg.norm(centers_of(expected)[:, None] - centers_of(found), axis=2) / mean
    near = np.clip(1 - distance / reach[:, None], 0, None)

    # 2. Exclude pairs that are too far apart or of too different sizes; the assignment would otherwise use them too.
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
