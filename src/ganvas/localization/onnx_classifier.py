"""Any ONNX classifier that ends in global average pooling and a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ganvas.errors import ConfigError, WeightsError
from ganvas.localization.evidence import Evidence, Floats
from ganvas.localization.head import softmax
from ganvas.localization.onnx_graph import Ending, channels_first, cut_at, find_ending, graph_input
from ganvas.localization.onnx_session import make_session
from ganvas.localization.preprocess import Bytes, Preprocessing, require_rgb

PROBE_TOLERANCE = 1e-3


class FeatureGraph:
    """An ONNX graph cut at its feature map, for inputs of any size; what follows the map is numpy (`ending.head`).

    Args:
        model: an onnx.ModelProto, see `read_model`.
        features: the tensor to cut at, else found in the graph.
        head: the initializer of the linear layer, else found.
        bias: its bias, else found.

    Raises:
        ConfigError: the graph has another ending.
    """

    def __init__(
        self, model: Any, *, features: str | None = None, head: str | None = None, bias: str | None = None
    ) -> None:
        self.ending: Ending = find_ending(model, features=features, head=head, bias=bias)
        self._input: str = graph_input(model).name
        self._channels_first = channels_first(graph_input(model))
        self._session = make_session(cut_at(model, self.ending.features))

    def features(self, images: Floats) -> Floats:
        """(N, C, h, w). images: (N, H, W, 3), normalised.

        Raises:
            ConfigError: the graph cannot be run on pictures of that size.
        """
        try:
            maps: Floats = self._session.run(None, {self._input: self._arrange(images)})[0]
        except Exception as error:  # its own classes have no other base
            height, width = images.shape[1:3]
            raise ConfigError(f"the ONNX graph cannot be run on {width} x {height} pixels: {error}") from error
        return np.moveaxis(maps, -1, 1) if self.ending.channels_last else maps

    def probe(self, model: Any, size: int) -> float:
        """The largest difference between the whole model's output and ours, on noise of (size, size) pixels."""
        noise = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
        whole = make_session(model.SerializeToString())
        theirs = whole.run(None, {self._input: self._arrange(noise)})[0].reshape(-1)
        logits = self.ending.head.logits(self.features(noise))[0]
        candidates = (softmax(logits), logits, np.log(softmax(logits)))
        return float(min(np.abs(theirs - ours).max() for ours in candidates))

    def _arrange(self, images: Floats) -> Floats:
        return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if self._channels_first else images


class OnnxClassifier:
    """A classifier from an ONNX file, checked at load to be what class activation maps need.

    Args:
        path: the .onnx file.
        class_names: K names; "0", "1", ... where none are given.
        preprocessing: what the network was trained with; the usual ImageNet values by default.
        features: the tensor (N, C, h, w) that is pooled, else found in the graph.
        head: the initializer of the linear layer, else found.
        bias: its bias, else found.

    Raises:
        WeightsError: the file cannot be read as ONNX.
        ConfigError: the graph has another ending, or as many names as classes were not given.
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
    ) -> None:
        model = read_model(path)
        self._graph = FeatureGraph(model, features=features, head=head, bias=bias)
        self._preprocessing = preprocessing or Preprocessing()
        num_classes = len(self._graph.ending.head.bias)
        self._class_names = tuple(class_names or map(str, range(num_classes)))
        if len(self._class_names) != num_classes:
            raise ConfigError(f"{path}: {num_classes} classes, but {len(self._class_names)} names were given")
        if (difference := self._graph.probe(model, self._preprocessing.size)) > PROBE_TOLERANCE:
            raise ConfigError(
                f"{path}: pooling and linear layer give other scores than the graph (by {difference:.2g})"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        return self._class_names

    def evidence(self, rgb: Bytes) -> Evidence:
        """The look of record: the centre crop. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        image, extent = self._preprocessing.centre(rgb)
        return self._graph.ending.head.evidence(self._graph.features(image[None])[0], extent)

    def dense_evidence(self, rgb: Bytes) -> Evidence:
        """A look at the whole picture at its own aspect; the scores are of its pooled map. rgb: (H, W, 3) uint8."""
        require_rgb(rgb)
        image, extent = self._preprocessing.whole(rgb)
        return self._graph.ending.head.evidence(self._graph.features(image[None])[0], extent)


def read_model(path: Path) -> Any:
    """The onnx.ModelProto of a file."""
    try:
        return onnx.load(str(path))
    except Exception as problem:
        raise WeightsError(f"{path} cannot be read as ONNX: {problem}") from problem
