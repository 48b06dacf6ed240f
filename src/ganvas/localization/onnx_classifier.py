"""Class activation maps of any ONNX classifier that ends in global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from ganvas.errors import ConfigError, WeightsError
from ganvas.localization.classifier import (
    Activation,
    Bytes,
    Evidence,
    Floats,
    Preprocessing,
    make_session,
    recognize_activations,
    require_rgb,
    resolve_activation,
)
from ganvas.localization.onnx_graph import Ending, cut_at, find_ending

__all__ = ["FeatureGraph", "GraphInput", "OnnxClassifier", "read_input", "read_model"]

FLOAT_TYPES: dict[int, type] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}
LEVEL_TYPES: dict[int, type] = {TensorProto.UINT8: np.uint8, TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}
"""Element types of inputs in 0..255 that the graph normalizes itself."""
LARGEST_SIDE, LARGEST_BATCH = 2048, 64
RAW_LEVELS = Preprocessing(mean=(0, 0, 0), deviation=(1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """Input of a graph.

    Attributes:
        name: name of the tensor.
        kind: element type, as an ONNX type number.
        channels_first: (N, 3, H, W) rather than (N, H, W, 3).
        batch: fixed batch size; None if dynamic.
        size: fixed height and width; None if dynamic.
    """

    name: str
    kind: int
    channels_first: bool
    batch: int | None
    size: int | None

    @property
    def takes_levels(self) -> bool:
        """Whether it expects integers in 0..255."""
        return self.kind in LEVEL_TYPES

    @property
    def is_half(self) -> bool:
        """Whether it expects half precision."""
        return self.kind == TensorProto.FLOAT16

    def preprocessing(self, given: Preprocessing | None) -> Preprocessing:
        """Return the preprocessing: a fixed size is the graph's own, and inputs in 0..255 are not normalized.

        Args:
            given: preprocessing set by the user; a value equal to the default counts as unset.

        Raises:
            ConfigError: it contradicts the graph.
        """
        chosen = given or Preprocessing()
        usual = Preprocessing()
        if self.size and chosen.size == usual.size:
            chosen = replace(chosen, size=self.size)
        if self.takes_levels and (chosen.mean, chosen.deviation) == (usual.mean, usual.deviation):
            chosen = replace(chosen, mean=RAW_LEVELS.mean, deviation=RAW_LEVELS.deviation)
        if self.size and chosen.size != self.size:
            raise ConfigError(
                f"the graph expects {self.size} x {self.size} pixels, but size is set to {chosen.size};"
                f' give "size": {self.size}, or export the graph with dynamic height and width'
            )
        if self.takes_levels and (tuple(chosen.mean), tuple(chosen.deviation)) != (
            RAW_LEVELS.mean,
            RAW_LEVELS.deviation,
        ):
            raise ConfigError(
                'the graph expects integer levels 0 to 255 and normalizes them itself; set "mean": [0, 0, 0] and '
                '"deviation": [1, 1, 1], or omit both'
            )
        return chosen

    def noise(self, size: int) -> Floats:
        """Return noise (1, size, size, 3) in the range of a normalized picture."""
        rng = np.random.default_rng(0)
        if self.takes_levels:
            return rng.integers(0, 256, (1, size, size, 3)).astype(np.float32)
        return rng.normal(size=(1, size, size, 3)).astype(np.float32)

    def arrange(self, images: Floats) -> NDArray[Any]:
        """Return images (N, H, W, 3) in the graph's layout and type."""
        turned = np.moveaxis(images, -1, 1) if self.channels_first else images
        if self.takes_levels:
            return np.ascontiguousarray(np.rint(turned), LEVEL_TYPES[self.kind])
        return np.ascontiguousarray(turned, FLOAT_TYPES[self.kind])

    def of_any_size(self) -> onnx.ValueInfoProto:
        """Return its ONNX description with dynamic batch size, height and width."""
        shape: list[str | int | None] = ["batch", 3, "height", "width"]
        if not self.channels_first:
            shape = ["batch", "height", "width", 3]
        return onnx.helper.make_tensor_value_info(self.name, self.kind, shape)


def read_input(model: Any) -> GraphInput:
    """Return the one input of an onnx.ModelProto that is not an initializer.

    Raises:
        ConfigError: there are several, or it is not a supported picture input.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = [value.name for value in inputs]
        raise ConfigError(f"the graph takes {len(inputs)} inputs {names}; expected one picture")
    value = inputs[0]
    kind = value.type.tensor_type.elem_type
    if kind not in FLOAT_TYPES and kind not in LEVEL_TYPES:
        raise ConfigError(
            f"the graph's input {value.name!r} holds {_type_name(kind)}; convert it to take float32, float16 or uint8"
        )
    sides = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    if len(sides) != 4:
        raise ConfigError(f"the graph's input {value.name!r} has {len(sides)} dimensions; expected (N, 3, H, W)")
    first = not (sides[3] == 3 and sides[1] != 3)
    channels, height, width = (sides[1], sides[2], sides[3]) if first else (sides[3], sides[1], sides[2])
    if channels not in (0, 3):
        raise ConfigError(
            f"the graph takes {channels} channels, {tuple(sides)}; expected three, RGB (repeat gray inside the graph)"
        )
    return GraphInput(
        name=value.name, kind=kind, channels_first=first, batch=_batch(sides[0]), size=_size(height, width)
    )


def _batch(side: int) -> int | None:
    if side > LARGEST_BATCH or side < 0:
        raise ConfigError(f"the graph has a batch size of {side}; export it with a batch size of 1 or a dynamic one")
    return side or None


def _size(height: int, width: int) -> int | None:
    if height == 0 and width == 0:
        return None
    side = max(height, width)
    if min(height, width) not in (0, side) or not 0 < side <= LARGEST_SIDE:
        raise ConfigError(
            f"the graph takes {width} x {height} pixels; export it for squares of at most {LARGEST_SIDE}, or with "
            "dynamic height and width"
        )
    return side


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower() if kind in TensorProto.DataType.values() else f"type {kind}"


TOLERANCE = 1e-3
HALF_TOLERANCE = 3e-2
ANOTHER_SIZE = 64
"""Number of pixels by which a probe exceeds the graph's input size, to test whether it accepts any size."""


class FeatureGraph:
    """An ONNX graph cut at its feature map, for inputs of any size; NumPy computes the rest (`ending.head`).

    Args:
        model: an onnx.ModelProto, see `read_model`.
        features: name of the tensor to cut at; by default found in the graph.
        head: name of the linear layer's initializer; by default found.
        bias: name of its bias; by default found.

    Raises:
        ConfigError: the graph has another ending, or onnxruntime cannot run it.
    """

    def __init__(
        self, model: Any, *, features: str | None = None, head: str | None = None, bias: str | None = None
    ) -> None:
        self.ending: Ending = find_ending(model, features=features, head=head, bias=bias)
        self.input: GraphInput = read_input(model)
        self._session = _started(cut_at(model, self.ending.features, self.input.of_any_size()))

    def features(self, images: Floats) -> Floats:
        """Return (N, C, h, w). images: (N, H, W, 3), normalized.

        Raises:
            ConfigError: the graph cannot be run on pictures of that size.
        """
        height, width = images.shape[1:3]
        try:
            maps = self._session.run(None, {self.input.name: self.input.arrange(images)})[0].astype(np.float32)
        except Exception as error:  # onnxruntime's exceptions have no other base class
            raise ConfigError(f"the ONNX graph cannot be run on {width} x {height} pixels: {error}") from error
        if maps.ndim != 4:
            raise ConfigError(f"{self.ending.features!r} holds {maps.shape}, not a feature map (N, C, h, w)")
        return np.moveaxis(maps, -1, 1) if self.ending.channels_last else maps

    def require_own_scores(self, model: Any, size: int) -> None:
        """Compare the ending's scores with the whole model's output, on noise of (size, size) pixels.

        Raises:
            ConfigError: they differ, or the whole graph cannot be run.
        """
        # 1. Run the unmodified graph on noise: any operation missing from the ending changes its output.
        noise = self.input.noise(size)
        whole = _started(model.SerializeToString())
        try:
            batch = self.input.arrange(np.repeat(noise, self.input.batch or 1, axis=0))
            theirs: NDArray[Any] = whole.run([self.ending.output], {self.input.name: batch})[0]
        except Exception as error:
            raise ConfigError(f"the ONNX graph cannot be run on {size} x {size} pixels: {error}") from error
        # 2. Compute the logits from the cut graph and the linear layer.
        logits = self.ending.head.logits(self.features(noise))
        if not np.isfinite(logits).all():
            raise ConfigError("the graph returns values that are not finite; its weights are damaged")
        # 3. An activation must map one to the other, within the rounding of the graph's type.
        fits = theirs.size == (self.input.batch or 1) * logits.size
        first = theirs.reshape(-1, logits.size)[:1] if fits else theirs
        tolerance = HALF_TOLERANCE if self.input.is_half or theirs.dtype == np.float16 else TOLERANCE
        if self.ending.head.activation not in recognize_activations(first, logits, tolerance=tolerance):
            raise ConfigError(
                "the graph's scores differ from those of its pooling and linear layer; it has further operations"
            )

    def takes_any_size(self, size: int) -> bool:
        """Return whether the graph cut at its map also runs on pictures that are larger than `size`."""
        try:
            self.features(np.zeros((1, size + ANOTHER_SIZE, size + 2 * ANOTHER_SIZE, 3), np.float32))
        except ConfigError:
            return False
        return True


class OnnxClassifier:
    """Classifier of an ONNX file, verified on loading to end in pooling and a linear layer.

    Args:
        path: the .onnx file.
        class_names: K names; by default "0", "1", ...
        preprocessing: preprocessing of the network's training; see `GraphInput.preprocessing` for the default.
        features: name of the pooled tensor (N, C, h, w); by default found in the graph.
        head: name of the linear layer's initializer; by default found.
        bias: name of its bias; by default found.
        activation: activation for a graph that ends in logits: softmax for one class per picture, sigmoid for
            independent classes. One logit needs a sigmoid. If unset, a softmax is assumed with a warning, and redaction
            refuses.

    Raises:
        WeightsError: the file cannot be read as ONNX.
        ConfigError: the graph has another ending, its scores differ from those of the ending, or the number of names
            differs from that of the classes.
    """

    def __init__(
        self,
        path: Path,
        class_names: Sequence[str] | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        features: str | None = None,
        head: str | None = None,
        bias: str | None = None,
        activation: Activation | None = None,
    ) -> None:
        model = read_model(path)
        try:
            self._graph = FeatureGraph(model, features=features, head=head, bias=bias)
            self._preprocessing = self._graph.input.preprocessing(preprocessing)
            self._graph.require_own_scores(model, self._preprocessing.size)
        except ConfigError as problem:
            raise ConfigError(f"{path}: {problem}") from problem
        ending = self._graph.ending
        num_classes = len(ending.head.bias)
        self._class_names = tuple(class_names or map(str, range(num_classes)))
        if len(self._class_names) != num_classes:
            raise ConfigError(f"{path}: {num_classes} classes, but {len(self._class_names)} names were given")
        found = resolve_activation(ending.head.activation, activation, num_classes=num_classes, where=str(path))
        self._head = replace(ending.head, activation=found)
        self._any_size = self._graph.takes_any_size(self._preprocessing.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K class names, in the order of the scores."""
        return self._class_names

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None if unknown, and a softmax is assumed."""
        return self._head.activation

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the center-crop evidence. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        image, extent = self._preprocessing.center(rgb)
        return self._head.evidence(self._graph.features(image[None])[0], extent)

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return evidence of the whole picture; the scores are of its pooled map. rgb: (H, W, 3) uint8.

        The picture keeps its aspect ratio, unless the graph accepts only one size.
        """
        require_rgb(rgb)
        image, extent = self._preprocessing.whole(rgb) if self._any_size else self._preprocessing.squeezed(rgb)
        return self._head.evidence(self._graph.features(image[None])[0], extent)


def read_model(path: Path) -> Any:
    """Return the onnx.ModelProto of a file.

    Raises:
        WeightsError: the file is not an ONNX model.
    """
    try:
        return onnx.load(str(path))
    except Exception as problem:
        raise WeightsError(f"{path} cannot be read as ONNX: {problem}") from problem


def _started(graph: bytes) -> Any:
    try:
        return make_session(graph)
    except Exception as error:  # onnxruntime's exceptions have no other base class
        raise ConfigError(f"onnxruntime cannot run the graph: {error}") from error
