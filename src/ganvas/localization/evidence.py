"""Classifier evidence: scores, feature map and linear head, from which class activation maps are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box
from ganvas.localization.activation import Activation, activate

Floats = NDArray[np.float32]


class ByClass(Protocol):
    """Array whose first axis is the class, or an object that computes its rows on demand (Grad-CAM)."""

    def __len__(self) -> int:
        """Return the number of classes, K."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return the row of one class."""
        ...

    def __array__(self) -> NDArray[Any]:
        """Return all rows."""
        ...


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence of a classifier in one picture.

    Attributes:
        scores: (K,) probabilities in [0, 1].
        features: (C, h, w) of the last block, before global average pooling.
        head: (K, C) weights of the linear layer after the pooling.
        bias: (K,) of that layer.
        extent: the part of the picture, in its own pixels, that the feature map spans.
        activation: converts logits to scores; None counts as a softmax.
    """

    scores: Floats
    features: Floats
    head: Floats | ByClass
    bias: Floats | ByClass
    extent: Box
    activation: Activation | None = "softmax"


class Classifier(Protocol):
    """Network that ends in global average pooling and one linear layer."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        ...

    @property
    def activation(self) -> Activation | None:
        """Conversion of logits to scores; None where unknown, and a softmax is assumed."""
        ...

    def evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """Return the evidence of record, with the network's own preprocessing. rgb: (H, W, 3) uint8."""
        ...

    def dense_evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """Return evidence of the whole picture at its own aspect ratio, borders included. rgb: (H, W, 3) uint8."""
        ...


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Pooling, then `weight @ pooled + bias`.

    Attributes:
        weight: (K, C).
        bias: (K,).
        activation: converts logits to scores; None counts as a softmax.
    """

    weight: Floats
    bias: Floats
    activation: Activation | None = "softmax"

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """Return logits (..., K) of feature maps (..., C, h, w)."""
        pooled = features.mean(axis=(-2, -1), dtype=np.float64)
        logits: NDArray[np.float64] = pooled @ self.weight.T.astype(np.float64) + self.bias
        return logits

    def scores(self, features: Floats) -> Floats:
        """Return probabilities (..., K) in [0, 1] of feature maps (..., C, h, w)."""
        return activate(self.logits(features), self.activation).astype(np.float32)

    def evidence(self, features: Floats, extent: Box) -> Evidence:
        """Return the evidence of one feature map (C, h, w) that spans `extent` of its picture."""
        return Evidence(self.scores(features), features, self.weight, self.bias, extent, self.activation)
