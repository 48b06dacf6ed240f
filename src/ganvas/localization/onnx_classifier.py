"""Class activation maps of any ONNX classifier that ends in global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ganvas.errors import ConfigError, WeightsError
from ganvas.localization.activation import Activation, recognize, resolve
from ganvas.localization.evidence import Evidence, Floats
from ganvas.localization.onnx_graph import Ending, cut_at, find_ending
from ganvas.localization.onnx_input import GraphInput, read_input
from ganvas.localization.onnx_session import make_session
from ganvas.localization.preprocess import Bytes, Preprocessing, require_rgb

TOLERANCE = 1e-3
HALF_TOLERANCE = 3e-2
ANOTHER_SIZE = 64
"""Pixels by which a probe is larger than the graph's own input, to learn whether any size will do."""


class FeatureGraph:
    """An ONNX graph cut at its feature map, for inputs of any size; what follows the map is numpy (`ending.head`).

    Args:
        model: an onnx.ModelProto, see `read_model`.
        features: the tensor to cut at, else found in the graph.
        head: the initializer of the linear layer, else found.
        bias: its bias, else found.

    Raises:
        ConfigError: the graph has another ending, or onnxruntime cannot run it.
    """

    def __init__(
        self, model: Any, *, features: str | None = None, head: str | None = None, bias: str | None = None
    ) -> None:
        self.ending: Ending = find_ending(model, features=features, head=head, bias=bias)
        self.input: GraphInput = read_input(model)
        self._session = _started(cut_at(model, self.ending.features, self.input))

    def features(self, images: Floats) -> Floats:
        """Return (N, C, h, w). images: (N, H, W, 3), normalized.

        Raises:
            ConfigError: the graph cannot be run on pictures of that size.
        """
        height, width = images.shape[1:3]
        try:
            maps = self._session.run(None, {self.input.name: self.input.arrange(images)})[0].astype(np.float32)
        except Exception as error:  # its own classes have no other base
            raise ConfigError(f"the ONNX graph cannot be run on {width} x {height} pixels: {error}") from error
        if maps.ndim != 4:
            raise ConfigError(f"{self.ending.features!r} holds {maps.shape}, not a feature map (N, C, h, w)")
        return np.moveaxis(maps, -1, 1) if self.ending.channels_last else maps

    def require_own_scores(self, model: Any, size: int) -> None:
        """Compare pooling, linear layer and activation with the whole model's output, on noise of (size, size) pixels.

        Raises:
            ConfigError: they differ, or the whole graph cannot be run.
        """
        noise = self.input.noise(size)
        whole = _started(model.SerializeToString())
        try:
            batch = self.input.arrange(np.repeat(noise, self.input.batch or 1, axis=0))
            theirs: NDArray[Any] = whole.run([self.ending.output], {self.input.name: batch})[0]
        except Exception as error:
            raise ConfigError(f"the ONNX graph cannot be run on {size} x {size} pixels: {error}") from error
        logits = self.ending.head.logits(self.features(noise))
        if not np.isfinite(logits).all():
            raise ConfigError("the graph gives numbers that are not finite; its weights are damaged")
        fits = theirs.size == (self.input.batch or 1) * logits.size
        first = theirs.reshape(-1, logits.size)[:1] if fits else theirs
        tolerance = HALF_TOLERANCE if self.input.is_half or theirs.dtype == np.float16 else TOLERANCE
        if self.ending.head.activation not in recognize(first, logits, tolerance=tolerance):
            raise ConfigError("pooling and linear layer give other scores than the graph; it does more than these")

    def takes_any_size(self, size: int) -> bool:
        """Return whether the graph cut at its map also runs on pictures that are larger than `size`."""
        try:
            self.features(np.zeros((1, size + ANOTHER_SIZE, size + 2 * ANOTHER_SIZE, 3), np.float32))
        except ConfigError:
            return False
        return True


class OnnxClassifier:
    """A classifier from an ONNX file, checked at load to be what class activation maps need.

    Args:
        path: the .onnx file.
        class_names: K names; "0", "1", ... where none are given.
        preprocessing: what the network was trained with; see `onnx_input.GraphInput.preprocessing` for the default.
        features: the tensor (N, C, h, w) that is pooled, else found in the graph.
        head: the initializer of the linear layer, else found.
        bias: its bias, else found.
        activation: of a graph that ends in logits: softmax for one class a picture, sigmoid for each class by itself.
            One logit is a sigmoid's. Where it is not given, a softmax is assumed with a warning, and redaction refuses.

    Raises:
        WeightsError: the file cannot be read as ONNX.
        ConfigError: the graph has another ending, gives other scores than it, or as many names as classes were not
            given.
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
        found = resolve(ending.head.activation, activation, num_classes=num_classes, where=str(path))
        self._head = replace(ending.head, activation=found)
        self._any_size = self._graph.takes_any_size(self._preprocessing.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        return self._class_names

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None where unknown, and a softmax is assumed."""
        return self._head.activation

    def evidence(self, rgb: Bytes) -> Evidence:
        """Return the evidence of record, of the center crop. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        image, extent = self._preprocessing.center(rgb)
        return self._head.evidence(self._graph.features(image[None])[0], extent)

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """Return evidence of the whole picture; the scores are of its pooled map. rgb: (H, W, 3) uint8.

        The picture keeps its aspect, unless the graph takes one size only.
        """
        require_rgb(rgb)
        image, extent = self._preprocessing.whole(rgb) if self._any_size else self._preprocessing.squeezed(rgb)
        return self._head.evidence(self._graph.features(image[None])[0], extent)


def read_model(path: Path) -> Any:
    """Return the onnx.ModelProto of a file.

    Raises:
        WeightsError: it is not one.
    """
    try:
        return onnx.load(str(path))
    except Exception as problem:
        raise WeightsError(f"{path} cannot be read as ONNX: {problem}") from problem


def _started(graph: bytes) -> Any:
    try:
        return make_session(graph)
    except Exception as error:  # onnxruntime's own classes have no other base
        raise ConfigError(f"onnxruntime cannot run the graph: {error}") from error
