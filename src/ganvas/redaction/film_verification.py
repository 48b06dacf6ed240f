"""Verification of a covered film: examines covered frames again, and covers remaining detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import FILE_ERRORS, problem_of
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detection, DetectionConfig, Detector, find_in_picture, outside, with_margin
from ganvas.redaction.film_covers import CoverPlan, FrameCovers, cover_frame
from ganvas.redaction.verifier import ClassDetector
from ganvas.video import Frame

__all__ = ["VerifiedFrame", "WidenedPlan", "covered_frame", "verify_frame"]

Mask = NDArray[np.bool_]
MAX_ROUNDS = 4
"""Largest number of times to widen the covers of a frame before it is covered completely."""


@dataclass(frozen=True, kw_only=True)
class VerifiedFrame:
    """Result of examining a covered frame again.

    Attributes:
        frame: number of the frame.
        score: highest score of the detections under the initial covers; 0 without detections.
        after: the same under the final covers.
        boxes: boxes added to its covers, (left, top, right, bottom).
        whole: whether it is covered completely, because more boxes did not help or it could not be examined.
        problem: reason why it could not be examined.
    """

    frame: int
    score: float
    after: float
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    whole: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class WidenedPlan:
    """Covers of every frame, planned from tracks and widened by the verification."""

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


def verify_frame(
    frame: Frame,
    time: float,
    plan: WidenedPlan,
    mask: Mask | None,
    detectors: Sequence[Detector],
    *,
    config: DetectionConfig,
    how: Cover,
) -> VerifiedFrame:
    """Examine a covered frame, and add boxes until nothing is detected in it.

    Args:
        frame: the uncovered frame.
        time: time in seconds from the first frame.
        plan: covers of the film.
        mask: (H, W) bool, covered in every frame besides; None for nothing.
        detectors: detectors to run on the covered frame.
        config: minimum score and kept boxes.
        how: the style of the covers.
    """
    boxes, scores = list[Box](), list[float]()
    height, width = plan.size
    for _ in range(MAX_ROUNDS):
        covers = plan.at(frame.index, time).widened(boxes, height, width)
        covered, changed = covered_frame(frame.picture, covers, mask, how)
        if covers.whole:
            return VerifiedFrame(frame=frame.index, score=0.0, after=0.0, whole=True)
        try:
            found = find_in_picture(covered, detectors, config)
        except FILE_ERRORS as error:
            return VerifiedFrame(frame=frame.index, score=1.0, after=0.0, whole=True, problem=problem_of(error))
        if how.style == "solid":
            found = _visible(found, changed, detectors)
        scores.append(max((one.score for one in found), default=0.0))
        if not found:
            break
        boxes += _new_boxes(found, covers, height, width)
    whole = scores[-1] > 0
    corners = tuple((box.left, box.top, box.right, box.bottom) for box in boxes)
    after = 0.0 if whole else scores[-1]
    return VerifiedFrame(frame=frame.index, score=scores[0], after=after, boxes=corners, whole=whole)


def _visible(found: Sequence[Detection], filled: Mask, detectors: Sequence[Detector]) -> list[Detection]:
    """Return the detections that are not just the filled region; a class that is still recognized always counts.

    The boxes of a class map show where the evidence is, not whether anything is visible there.
    """
    classes = {detector.name for detector in detectors if isinstance(detector, ClassDetector)}
    named = [one for one in found if one.label in classes]
    return named + outside([one for one in found if one.label not in classes], filled)


def _new_boxes(found: Sequence[Detection], covers: FrameCovers, height: int, width: int) -> list[Box]:
    """Return boxes to add: detections with twice the margin, or more if a cover already contains them."""
    region = covers.region(height, width)
    boxes = []
    for one in found:
        inside = one.box.clip(height, width)
        is_covered = inside is not None and region[inside.top : inside.bottom, inside.left : inside.right].all()
        boxes.append(with_margin(one.box, 0.5) if is_covered else one.box)
    return boxes


def covered_frame(picture: Picture, covers: FrameCovers, mask: Mask | None, how: Cover) -> tuple[Picture, Mask]:
    """Apply the covers of the plan and the static region; return the picture and a mask of its covers."""
    covered, changed = cover_frame(picture, covers, how)
    if mask is not None and mask.any() and not covers.whole:
        covered, changed = cover_picture(covered, mask, how), changed | mask
    return covered, changed
