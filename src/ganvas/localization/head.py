"""The ending that class activation maps need: global average pooling and one linear layer, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box
from ganvas.localization.activation import Activation, activate
from ganvas.localization.evidence import Evidence, Floats


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Pooling, then `weight @ pooled + bias`.

    Attributes:
        weight: (K, C).
        bias: (K,).
        activation: what makes scores of logits; None counts as a softmax.
    """

    weight: Floats
    bias: Floats
    activation: Activation | None = "softmax"

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """(..., K) before the activation, of feature maps (..., C, h, w)."""
        pooled = features.mean(axis=(-2, -1), dtype=np.float64)
        logits: NDArray[np.float64] = pooled @ self.weight.T.astype(np.float64) + self.bias
        return logits

    def scores(self, features: Floats) -> Floats:
        """(..., K) probabilities in [0, 1], of feature maps (..., C, h, w)."""
        return activate(self.logits(features), self.activation).astype(np.float32)

    def evidence(self, features: Floats, extent: Box) -> Evidence:
        """The evidence of one feature map (C, h, w) that spans `extent` of its picture."""
        return Evidence(self.scores(features), features, self.weight, self.bias, extent, self.activation)
