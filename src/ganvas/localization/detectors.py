"""Object detection: boxes with scores around faces, text, or the classes of a YOLO-style ONNX file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box, Picture
from ganvas.image.views import views
from ganvas.localization.classifier import Bytes, require_rgb

__all__ = [
    "DETECTORS",
    "Detection",
    "DetectionConfig",
    "Detector",
    "covered_boxes",
    "drawn_boxes",
    "find_boxes",
    "find_in_picture",
    "make_detection",
    "non_maximum_suppression",
    "outside",
    "region_of",
]

Mask = NDArray[np.bool_]
Corners = tuple[int, int, int, int]
DETECTORS = ("faces", "text")
"""Names of the detectors with packaged weights."""
LONGEST = 4096
"""Longest side in pixels at which faces and text are detected; memory grows with the area."""
SHORTEST = 32
COLORS = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240))
"""Colors of boxes, by the number of their track."""
HIDDEN = 0.9
"""Smallest share of a detection inside a filled region at which it counts as the region itself."""
ALIKE = 0.5
"""Smallest intersection over union of the boxes of one object in two views of a picture."""


@dataclass(frozen=True)
class Detection:
    """Detected object.

    Attributes:
        box: box in pixels of the picture; may be partly outside.
        score: confidence of the detector, in [0, 1].
        label: class name, such as "face".
        track: number of its track over the frames of a film; None in a single picture.
    """

    box: Box
    score: float
    label: str
    track: int | None = None

    def as_record(self) -> dict[str, object]:
        """Return label, score and box (left, top, right, bottom), ready for JSON."""
        box = [self.box.left, self.box.top, self.box.right, self.box.bottom]
        return {"label": self.label, "score": round(self.score, 4), "box": box}

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise ConfigError(f"score {self.score} of a {self.label} must lie in [0, 1]")


class Detector(Protocol):
    """Function from a picture to boxes with scores; calls from several threads at once are safe."""

    name: str
    """Name of the detector, see `ganvas.localization.load.load_detectors`."""

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return the objects found.

        Args:
            rgb: (H, W, 3) uint8.
            min_score: lowest score of a detection, in (0, 1]; None for the detector's own.

        Raises:
            ImageError: the network fails on this picture, or its output is not usable.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Settings of detection, and the region that a detection covers."""

    detect: tuple[str, ...] = ()
    """Detectors: faces, text, or an .onnx file; MODEL.onnx:person,car selects only these of its classes."""
    min_score: float | None = None
    """Lowest score of a detection, in (0, 1]; by default the detector's own (faces 0.2, text 0.5, .onnx 0.25)."""
    margin: float = 0.2
    """Margin on each side of a box, as a share of its width or height."""
    keep: tuple[Corners, ...] = ()
    """Boxes (left, top, right, bottom) in pixels in which nothing is covered."""
    longest: int = LONGEST
    """Longest side in pixels at which faces and text are detected; larger pictures are reduced, which is faster."""

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 < self.min_score <= 1:
            raise ConfigError(f"min_score {self.min_score} must be above 0 and at most 1")
        if not 0 <= self.margin <= 10:
            raise ConfigError(f"margin {self.margin} must lie in 0..10; 0.2 adds a fifth of the box on each side")
        if not SHORTEST <= self.longest <= LONGEST:
            raise ConfigError(f"longest {self.longest} must lie in {SHORTEST}..{LONGEST} pixels")
        for corners in self.keep:
            try:
                Box(*corners)
            except ImageError as problem:
                raise ConfigError(f"keep: {problem}") from problem

    @property
    def kept(self) -> tuple[Box, ...]:
        """Boxes in which nothing is covered."""
        return tuple(Box(*corners) for corners in self.keep)


def find_boxes(rgb: Bytes, detectors: Iterable[Detector], config: DetectionConfig) -> list[Detection]:
    """Return the detections of all detectors, as found (without margin).

    Detections centered in a kept box, and those outside the picture, are excluded.

    Args:
        rgb: (H, W, 3) uint8.
        detectors: see `ganvas.localization.load.load_detectors`.
        config: its minimum score and kept boxes.

    Raises:
        ImageError: a detector fails.
    """
    require_rgb(rgb)
    found = [each for detector in detectors for each in detector.detect(rgb, min_score=config.min_score)]
    inside = [each for each in found if each.box.clip(*rgb.shape[:2]) is not None]
    return [each for each in inside if not any(_is_centered_in(each.box, kept) for kept in config.kept)]


def find_in_picture(picture: Picture, detectors: Sequence[Detector], config: DetectionConfig) -> list[Detection]:
    """Return the detections in all views of a picture of any depth and number of channels: see `views`.

    An object that is found in several views is one detection, with a box around all of its boxes and the highest score.

    Args:
        picture: the picture.
        detectors: see `find_boxes`.
        config: see `find_boxes`.

    Raises:
        ImageError: a detector fails, or the picture contains values that are not finite.
    """
    found: list[Detection] = []
    try:
        for view in views(picture):
            for one in find_boxes(view, detectors, config):
                alike = next((index for index, other in enumerate(found) if _is_alike(one, other)), None)
                if alike is None:
                    found.append(one)
                else:
                    found[alike] = _united(found[alike], one)
    except ValueError as error:
        raise ImageError(picture.source, f"could not be examined ({error})") from error
    return found


def _is_alike(one: Detection, other: Detection) -> bool:
    edges = np.array([[each.box.left, each.box.top, each.box.right, each.box.bottom] for each in (one, other)])
    return one.label == other.label and intersection_over_union(edges[0], edges[1:])[0] >= ALIKE


def _united(one: Detection, other: Detection) -> Detection:
    a, b = one.box, other.box
    box = Box(min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom))
    return replace(one, box=box, score=max(one.score, other.score))


def with_margin(box: Box, margin: float) -> Box:
    """Return a box grown on each side by `margin` of its width or height, rounded outward."""
    across, down = margin * (box.right - box.left), margin * (box.bottom - box.top)
    return Box(
        math.floor(box.left - across),
        math.floor(box.top - down),
        math.ceil(box.right + across),
        math.ceil(box.bottom + down),
    )


def covered_boxes(detections: Iterable[Detection], config: DetectionConfig, height: int, width: int) -> list[Box]:
    """Return the boxes to cover in a picture of (height, width): with margin, clipped to the picture."""
    grown = [with_margin(detection.box, config.margin).clip(height, width) for detection in detections]
    return [box for box in grown if box is not None]


def region_of(boxes: Iterable[Box], config: DetectionConfig, height: int, width: int) -> Mask:
    """Return the mask (height, width) bool of boxes to cover, False inside the kept boxes."""
    region = np.zeros((height, width), dtype=bool)
    for box in boxes:
        region |= box.mask(height, width)
    for kept in config.kept:
        region &= ~kept.mask(height, width)
    return region


def outside(detections: Iterable[Detection], region: Mask) -> list[Detection]:
    """Return the detections of which less than `HIDDEN` is inside a region filled with a color.

    A detector sometimes detects the filled region itself, where nothing is visible.

    Args:
        detections: in pixels of the region.
        region: (H, W) bool.
    """
    clipped = [(each, each.box.clip(*region.shape)) for each in detections]
    return [each for each, box in clipped if box is not None and _share(region, box) < HIDDEN]


def make_detection(edges: Sequence[float], score: float, label: str) -> Detection | None:
    """Return the detection of a network's edges (left, top, right, bottom), rounded outward; None for an empty box.

    Raises:
        ImageError: a value is not finite, or the score is not a probability.
    """
    if not (np.isfinite(edges).all() and 0 <= score <= 1):
        raise ImageError(None, f"the detector of {label!r} returns invalid values ({edges}, score {score})")
    left, top, right, bottom = (float(edge) for edge in edges)
    if right <= left or bottom <= top:
        return None
    return Detection(Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)), score, label)


def non_maximum_suppression(edges: NDArray[Any], scores: NDArray[Any], *, overlap: float) -> list[int]:
    """Return the indices of boxes that overlap no box of a higher score by more than `overlap`, best first.

    Args:
        edges: (N, 4), left, top, right, bottom.
        scores: (N,).
        overlap: intersection over union, in [0, 1].
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[intersection_over_union(edges[best], edges[rest]) <= overlap]
    return kept


def intersection_over_union(box: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Return the intersection over union of a box (4,) with each of (N, 4), or pairwise of broadcast boxes, (N,)."""
    low, high = np.maximum(box[..., :2], others[..., :2]), np.minimum(box[..., 2:], others[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(each[..., 2:] - each[..., :2], 0, None), axis=-1) for each in (box, others)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, np.finfo(np.float32).tiny))


def _share(region: Mask, box: Box) -> float:
    """Return the share of a box that is inside a region."""
    return float(region[box.top : box.bottom, box.left : box.right].mean())


def _is_centered_in(box: Box, other: Box) -> bool:
    across, down = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return other.left <= across < other.right and other.top <= down < other.bottom


def drawn_boxes(rgb: Bytes, detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3) with boxes, each with its track's number, label and score."""
    from PIL import Image, ImageDraw  # needed only here

    image = Image.fromarray(rgb)
    pen = ImageDraw.Draw(image)
    for one in detections:
        box, color = one.box, COLORS[(one.track or 0) % len(COLORS)]
        pen.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=color, width=2)
        text = f"{one.track or ''} {one.label} {one.score:.2f}".strip()
        pen.text((box.left + 3, max(box.top - 12, 0)), text, fill=color)
    return np.asarray(image)
