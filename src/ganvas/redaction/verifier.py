"""Verifier, which tests whether and where a classifier still recognizes a class in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box, Picture
from ganvas.image.views import views
from ganvas.localization import Classifier, Evidence, boxes_from_map, class_index, heat
from ganvas.localization.classifier import Bytes, activate, require_activation
from ganvas.localization.detectors import Detection

__all__ = ["ClassDetector", "Scores", "Verifier"]

Mask = NDArray[np.bool_]
WINDOW = 7
"""Side of the feature map of a 224-pixel input in cells; a window of this size corresponds to such an input."""
PASS_SCORE = 0.2
"""README of yahoo/open_nsfw: "scores < 0.2 indicate that the image is likely to be safe"."""
PASS_WINDOW_OF_TWO = 0.8
"""Open NSFW's windows exceed 0.2 in a third of ordinary flowers, 0.8 in one of fifty: docs/redaction.md."""

COVERAGE = 0.9
"""Coverage of the initial region: boxes around everything above 1 - COVERAGE of the maximum. 0.8 left at least a fifth
of half of all zebras uncovered; 0.9 covers half of them completely, and .13 of the picture needlessly
(docs/experiments.md)."""


@dataclass(frozen=True)
class Scores:
    """Probabilities of a class in [0, 1], each the largest over the picture's views.

    Attributes:
        record: score of the classifier's own preprocessing (center crop), which omits borders.
        dense: score of the whole picture at its own aspect ratio.
        window: largest score over windows of the dense evidence, for small objects and objects at a border.
    """

    record: float
    dense: float
    window: float

    def as_record(self) -> dict[str, float]:
        """Return rounded scores, ready for JSON."""
        return {name: round(value, 6) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Verifier:
    """Verifier of one class of a classifier, with the scores at which the class counts as no longer recognized.

    Attributes:
        classifier: see `load_classifier`.
        index: index of the class.
        pass_score: largest `record` and `dense` score that passes.
        pass_window: largest `window` score that passes.
        coverage: the initial region consists of boxes around everything above 1 - coverage of the maximum, in (0, 1].
    """

    classifier: Classifier
    index: int
    pass_score: float = PASS_SCORE
    pass_window: float = PASS_SCORE
    coverage: float = COVERAGE

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        class_name: str | None,
        *,
        pass_score: float | None = None,
        coverage: float | None = None,
    ) -> Verifier:
        """Return the verifier of a class; by default the only class, or the second class of a softmax of two.

        Raises:
            ConfigError: no class is named although there are many, there is no such class, the activation of logits is
                unknown, or pass_score or coverage is out of range.
        """
        activation = require_activation(classifier.activation)
        num_classes = len(classifier.class_names)
        of_two = num_classes == 2 and activation == "softmax"
        if class_name is None and not of_two and num_classes > 1:
            raise ConfigError(f"a classifier of {num_classes} classes; select one: --class NAME")
        limit = PASS_SCORE if pass_score is None else pass_score
        if not 0 < limit < 1:
            raise ConfigError(f"pass_score {limit} must lie between 0 and 1")
        share = COVERAGE if coverage is None else coverage
        if not 0 < share <= 1:
            raise ConfigError(f"coverage {share} must be above 0 and at most 1")
        index = num_classes - 1 if class_name is None else class_index(classifier, class_name)
        return cls(classifier, index, limit, max(limit, PASS_WINDOW_OF_TWO) if of_two else limit, share)

    @property
    def class_name(self) -> str:
        """Name of the class in the classifier."""
        return self.classifier.class_names[self.index]

    def scores(self, picture: Picture) -> Scores:
        """Return the class's scores in the picture.

        Raises:
            ImageError: the classifier failed, or returned values that are not probabilities, which never pass.
        """
        try:
            each = [self._view_scores(view) for view in views(picture)]
        except Exception as error:
            raise ImageError(picture.source, f"could not be scored ({type(error).__name__}: {error})") from error
        record, dense, window = np.max(each, axis=0).tolist()  # unlike max(), propagates NaN
        if not all(0 <= score <= 1 for score in (record, dense, window)):
            raise ImageError(picture.source, f"the classifier returned invalid scores ({record}, {dense}, {window})")
        return Scores(record, dense, window)

    def passes(self, scores: Scores) -> bool:
        """Return whether the class counts as no longer recognized."""
        return max(scores.record, scores.dense) <= self.pass_score and scores.window <= self.pass_window

    def find(self, picture: Picture) -> Mask:
        """Return (H, W) bool: boxes around the evidence for the class in every view in which it is recognized.

        Without such a view, the evidence in all views counts; without any evidence, the whole picture.

        Raises:
            ImageError: the classifier failed.
        """
        recognized, other = (np.zeros((picture.height, picture.width), dtype=bool) for _ in range(2))
        try:
            for view in views(picture):
                region, is_recognized = self._find_in_view(view)
                kind = recognized if is_recognized else other
                kind |= region
        except Exception as error:
            raise ImageError(picture.source, f"could not be examined ({type(error).__name__}: {error})") from error
        return next((region for region in (recognized, other) if region.any()), ~other)

    def _find_in_view(self, view: NDArray[np.uint8]) -> tuple[Mask, bool]:
        """Return the boxes in a view, and whether the class is recognized in it; the center crop only if needed."""
        size = view.shape[0], view.shape[1]
        dense = self.classifier.dense_evidence(view)
        region, scores = self._boxes(dense, *size), self._dense_scores(dense)
        if region.any() and not self.passes(Scores(0.0, *scores)):
            return region, True
        center = self.classifier.evidence(view)
        is_recognized = not self.passes(Scores(float(center.scores[self.index]), *scores))
        return (region if region.any() else self._boxes(center, *size)), is_recognized

    def _view_scores(self, view: NDArray[np.uint8]) -> tuple[float, float, float]:
        dense = self.classifier.dense_evidence(view)
        record = self.classifier.evidence(view).scores[self.index]
        return float(record), *self._dense_scores(dense)

    def _dense_scores(self, dense: Evidence) -> tuple[float, float]:
        return float(dense.scores[self.index]), float(window_scores(dense)[..., self.index].max())

    def _boxes(self, evidence: Evidence, height: int, width: int) -> Mask:
        found = heat(evidence, self.index, height=height, width=width)
        region = np.zeros((height, width), dtype=bool)
        for box in boxes_from_map(found, threshold=1 - self.coverage, largest_only=False):
            region |= box.mask(height, width)
        return region


def window_scores(evidence: Evidence) -> NDArray[np.float64]:
    """Return (rows, columns, K) probabilities of each 7x7 window of the feature map, as if it were the whole map."""
    features = evidence.features.astype(np.float64)
    rows, columns = (min(WINDOW, side) for side in features.shape[1:])
    table = np.pad(features, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)
    bands = table[:, rows:] - table[:, :-rows]
    means = (bands[:, :, columns:] - bands[:, :, :-columns]) / (rows * columns)
    weight, bias = np.asarray(evidence.head).astype(np.float64), np.asarray(evidence.bias).astype(np.float64)
    return activate(np.tensordot(means, weight, axes=(0, 1)) + bias, evidence.activation)


class ClassDetector:
    """Detector that locates a verifier's class in the frames of films by its class activation map."""

    def __init__(self, verifier: Verifier) -> None:
        self.name, self._verifier = verifier.class_name, verifier

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return boxes around the evidence for the class; none in a frame that passes.

        Raises:
            ImageError: the classifier failed.
        """
        del min_score  # the verifier's own scores determine what passes
        picture = Picture(rgb)
        scores = self._verifier.scores(picture)
        if self._verifier.passes(scores):
            return []
        score = max(scores.record, scores.dense, scores.window)
        return [Detection(box, score, self.name) for box in boxes_of(self._verifier.find(picture))]


def boxes_of(region: Mask) -> list[Box]:
    """Return the bounding boxes of the connected parts of a mask."""
    labels, _ = ndimage.label(region, structure=np.ones((3, 3)))
    return [Box(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
