"""What a classifier saw in a picture, in the form that class activation maps need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One look of a classifier at one picture.

    Attributes:
        scores: (K,) probabilities in [0, 1].
        features: (C, h, w) of the last block, before global average pooling.
        head: (K, C) weights of the linear layer after the pooling.
        bias: (K,) of that layer.
        extent: the part of the picture, in its own pixels, that the feature map spans.
    """

    scores: Floats
    features: Floats
    head: Floats
    bias: Floats
    extent: Box


class Classifier(Protocol):
    """A network ending in global average pooling and one linear layer."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in the order of the scores."""
        ...

    def evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """The look of record, with the network's own preprocessing. rgb: (H, W, 3) uint8."""
        ...

    def dense_evidence(self, rgb: NDArray[np.uint8]) -> Evidence:
        """A look at the whole picture at its own aspect, so that the borders count. rgb: (H, W, 3) uint8."""
        ...
