"""YOLO-style detection with ONNX files of raw or end-to-end output, with class names from the metadata."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError, ImageError
from ganvas.localization.classifier import Bytes, make_session, require_rgb, resize
from ganvas.localization.detectors import Detection, make_detection, non_maximum_suppression

__all__ = ["YoloDetector"]

FREE_SIDE = 640
"""Side of the input if graph and metadata do not fix it."""
STRIDE, MOST_PIXELS, MOST_NAMES = 32, 4096, 10_000
PADDING = 114
"""Gray level around a letterboxed picture, as in training."""
INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
SELECTORS = {"TopK", "NonMaxSuppression", "EfficientNMS_TRT"}
"""Operators that select boxes; a graph that contains one is end-to-end."""
OTHER_TASKS = {"classify", "obb"}
"""Tasks of Ultralytics models without upright boxes in the output."""
OVERLAP = 0.45
SHARES = 1.5
"""Largest coordinate of boxes that are relative to the input instead of in pixels."""
DECODED = "export it with decoded output (Ultralytics: format=onnx)"
EXPECTED = "expected a detector with one output (1, 4 + C, N), (1, N, 5 + C) or, end to end, (1, N, 6)"


@dataclass(frozen=True, kw_only=True)
class Head:
    """Layout of a detector's output.

    Attributes:
        end_to_end: rows are left, top, right, bottom, score, class; already suppressed.
        channels_first: (1, channels, N) rather than (1, N, channels).
        objectness: the fifth channel is the probability of any object, by which class scores are multiplied.
        classes: number of class scores; 0 for end-to-end rows.
    """

    end_to_end: bool
    channels_first: bool
    objectness: bool
    classes: int

    @classmethod
    def of(cls, shape: tuple[int, ...], *, names: int | None, selects: bool) -> Head:
        """Return the layout of an output of a shape.

        Args:
            shape: shape of the first output for one picture.
            names: number of class names in the metadata; None if there are none.
            selects: whether the graph selects boxes itself.

        Raises:
            ConfigError: it is not the layout of a detector.
        """
        if len(shape) != 3 or shape[0] != 1:
            raise ConfigError(f"its output has shape {shape}; {EXPECTED}")
        if selects and shape[2] >= 6:
            return cls(end_to_end=True, channels_first=False, objectness=False, classes=0)
        first = shape[1] < shape[2]
        channels = min(shape[1:])
        if names is None:
            objectness, count = not first, channels - 4 - (not first)
        else:
            objectness, count = not first and channels >= 5 + names, names
        if count < 1 or channels < 4 + objectness + count:
            raise ConfigError(f"its output has shape {shape}, too few channels for {count} classes; {EXPECTED}")
        return cls(end_to_end=False, channels_first=first, objectness=objectness, classes=count)

    def centers(self, output: NDArray[Any]) -> NDArray[Any]:
        """Return the centers (N, 2) of all candidates of a raw output."""
        return np.asarray(output[0, :2].T if self.channels_first else output[0, :, :2])

    def read(self, output: NDArray[Any], min_score: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return edges (N, 4) in pixels of the input, scores (N,) and classes (N,) with scores of at least `min_score`.

        output: the first output, for one picture.
        """
        # 1. One row per candidate; end-to-end graphs have already selected and suppressed them.
        rows = np.asarray(output[0].T if self.channels_first else output[0], np.float32)
        if self.end_to_end:
            rows = rows[rows[:, 4] >= min_score]
            return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
        # 2. The score is that of the most probable class, times the probability of any object.
        start = 4 + self.objectness
        scores = rows[:, start : start + self.classes] * (rows[:, 4:5] if self.objectness else 1)
        classes = scores.argmax(axis=1)
        best = scores[np.arange(len(rows)), classes]
        # 3. Convert centers and sizes to edges; boxes suppress only others of the same class.
        chosen = best >= min_score
        center, half = rows[chosen, :2], rows[chosen, 2:4] / 2
        edges, best, classes = np.hstack([center - half, center + half]), best[chosen], classes[chosen]
        apart = edges + classes[:, None] * (2 * MOST_PIXELS)  # boxes of different classes never overlap
        kept = non_maximum_suppression(apart, best, overlap=OVERLAP)
        return edges[kept], best[kept], classes[kept]


class YoloDetector:
    """Detector from an .onnx file with decoded output, as Ultralytics exports it with `format=onnx`.

    The layout follows from the graph: nodes that select boxes make it end-to-end; otherwise channels are the shorter
    axis, and (1, N, 5 + C) has objectness (YOLOv5, YOLOv7), (1, 4 + C, N) has none (YOLOv8 and later).

    Args:
        path: the file.
        classes: names of the classes to detect; empty: all.
        threads: threads of the network; None for all cores.

    Raises:
        ConfigError: the file is not such a detector, or has no class of a name.
    """

    MIN_SCORE = 0.25

    def __init__(self, path: Path, *, classes: Sequence[str] = (), threads: int | None = None) -> None:
        self.name = f"{path.name}:{','.join(classes)}" if classes else path.name
        self._path = path
        try:
            self._session = make_session(path, threads=threads)
            selects = _selects(path)
        except Exception as error:  # onnxruntime's exceptions have no other base class
            raise ConfigError(f"{path}: cannot be read as an ONNX graph: {error}") from error
        try:
            self._start(classes, selects=selects)
        except ConfigError as problem:
            raise ConfigError(f"{path}: {problem}") from problem

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return the objects in (H, W, 3) uint8; see `Detector.detect`."""
        require_rgb(rgb)
        image, factor, left, top = self._letterboxed(rgb)
        try:
            output = self._session.run(None, {self._input.name: image})[0]
        except Exception as error:
            raise ImageError(None, f"{self._path} cannot run on this picture: {error}") from error
        if not np.isfinite(output).all():
            raise ImageError(None, f"{self._path} returns values that are not finite")
        edges, scores, classes = self._head.read(output, min_score or self.MIN_SCORE)
        if len(edges) and edges.max() <= SHARES:
            raise ImageError(None, f"{self._path} returns boxes that are not in pixels of the input; {DECODED}")
        # Undo the letterboxing.
        edges = (edges - np.array([left, top, left, top], np.float32)) / factor
        edges = np.clip(edges, 0, np.tile(rgb.shape[1::-1], 2))
        found = []
        for index in range(len(scores)):
            label = self._label(int(classes[index]))
            if not self._wanted or label in self._wanted:
                found.append(make_detection(edges[index].tolist(), float(scores[index]), label))
        return [each for each in found if each is not None]

    def _start(self, classes: Sequence[str], *, selects: bool) -> None:
        """Read input, metadata and layout; runs a gray picture, since the graph's shapes may be dynamic."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        if (task := metadata.get("task")) in OTHER_TASKS:
            raise ConfigError(f"its task is {task!r}; {EXPECTED}")
        self._names = _class_names(metadata)
        self._wanted = _known(classes, self._names)
        self._input = _only_input(self._session)
        self._sides = _input_sides(self._input.shape, metadata)
        self._free = any(not isinstance(side, int) for side in self._input.shape[2:])
        image = self._letterboxed(np.full((64, 64, 3), PADDING, np.uint8))[0]
        try:
            output = self._session.run(None, {self._input.name: image})[0]
        except Exception as error:
            raise ConfigError(f"it cannot run on a picture of {image.shape[3]} x {image.shape[2]}: {error}") from error
        self._head = Head.of(output.shape, names=len(self._names) if self._names else None, selects=selects)
        _, scores, _ = self._head.read(output, -np.inf)
        if not (np.isfinite(output).all() and ((scores >= 0) & (scores <= 1)).all()):
            raise ConfigError(f"its scores are not in [0, 1]; {DECODED}")
        if (
            not self._head.end_to_end
            and (self._head.centers(output).max(axis=0) < np.array(self._sides[::-1]) / 4).any()
        ):
            raise ConfigError(f"its boxes are not in pixels of the input; {DECODED}")

    def _letterboxed(self, rgb: Bytes) -> tuple[NDArray[Any], float, int, int]:
        """Return the input (1, 3, h, w) with the picture in its middle, the scale factor, and the picture's corner."""
        height, width = self._sides
        factor = min(height / rgb.shape[0], width / rgb.shape[1])
        down, across = (max(round(side * factor), 1) for side in rgb.shape[:2])
        if self._free:  # no more padding than the stride needs
            height, width = (-(-side // STRIDE) * STRIDE for side in (down, across))
        top, left = (height - down) // 2, (width - across) // 2
        canvas = np.full((height, width, 3), PADDING, np.uint8)
        canvas[top : top + down, left : left + across] = resize(rgb, down, across)
        image, kind = canvas.transpose(2, 0, 1)[None], INPUT_TYPES[self._input.type]
        if kind is np.uint8:
            return np.ascontiguousarray(image), factor, left, top
        return np.ascontiguousarray(image / np.float32(255), kind), factor, left, top

    def _label(self, index: int) -> str:
        if self._names is None:
            return self._path.stem if self._head.classes == 1 else f"{self._path.stem} {index}"
        return self._names.get(index, f"{self._path.stem} {index}")


def _selects(path: Path) -> bool:
    """Return whether the graph of a file selects boxes itself."""
    import onnx  # slow to import

    nodes = onnx.load(path, load_external_data=False).graph.node
    return any(node.op_type in SELECTORS for node in nodes)


def _only_input(session: Any) -> Any:
    """Return the only input of a session: (N, 3, H, W), levels or values in [0, 1]."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ConfigError(f"it has {len(inputs)} inputs {[each.name for each in inputs]}; expected one picture")
    shape, kind = inputs[0].shape, inputs[0].type
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3) or shape[0] not in (1, None, *_text(shape)):
        raise ConfigError(f"its input is {shape}; expected (1, 3, H, W)")
    if kind not in INPUT_TYPES:
        raise ConfigError(f"its input is {kind}; expected float32, float16 or uint8")
    return inputs[0]


def _text(shape: Sequence[Any]) -> list[str]:
    """Return the names of dynamic dimensions."""
    return [side for side in shape if isinstance(side, str)]


def _input_sides(shape: Sequence[Any], metadata: dict[str, str]) -> tuple[int, int]:
    """Return height and width of the input: the graph's own, else those of the metadata, else `FREE_SIDE`."""
    noted = _literal(metadata.get("imgsz", ""))
    noted = noted if isinstance(noted, (list, tuple)) and len(noted) == 2 else (FREE_SIDE, FREE_SIDE)
    height, width = (own if isinstance(own, int) else other for own, other in zip(shape[2:], noted, strict=True))
    for side in (height, width):
        if not isinstance(side, int) or not 1 <= side <= MOST_PIXELS:
            raise ConfigError(f"its input is {width} x {height} pixels; expected sides of 1 to {MOST_PIXELS} pixels")
    return height, width


def _class_names(metadata: dict[str, str]) -> dict[int, str] | None:
    """Return index -> name from the entry "names": {0: 'person', ...} or ['person', ...]; None if it is missing."""
    names = _literal(metadata.get("names", ""))
    if isinstance(names, (list, tuple)):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 0 < len(names) <= MOST_NAMES:
        return None
    if not all(isinstance(index, int) and isinstance(name, str) for index, name in names.items()):
        return None
    return names


def _literal(text: str) -> object:
    """Return the value of a Python or JSON literal; None for anything else."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _known(wanted: Sequence[str], names: dict[int, str] | None) -> frozenset[str]:
    """Return the classes to detect, in the spelling of the file.

    Raises:
        ConfigError: the file names no classes, or none of that name.
    """
    if not wanted:
        return frozenset()
    if names is None:
        raise ConfigError(
            "its metadata contain no class names, so classes cannot be selected; omit the part after .onnx"
        )
    own = {name.casefold(): name for name in names.values()}
    for name in wanted:
        if name.casefold() not in own:
            near = get_close_matches(name.casefold(), own, n=3) or list(own)[:8]
            raise ConfigError(
                f"it has no class {name!r}; among its {len(own)} are {', '.join(own[each] for each in near)}"
            )
    return frozenset(own[name.casefold()] for name in wanted)
