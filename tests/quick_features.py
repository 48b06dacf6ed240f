"""Cheap features in place of a large network's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.errors import WeightsError
from ganvas.metrics.distribution import FeatureSpace
from ganvas.metrics.features import FeatureExtractor


class Means(nn.Module):
    """Colors averaged over quarters of the picture: (N, 3, H, W) -> (N, 3, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))  # tells the device

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 2)


def quick_extractor() -> FeatureExtractor:
    """Return an extractor of twelve features, for pictures of one size."""
    space = FeatureSpace(name="quarters", dimension=12, protocol="as they are")
    return FeatureExtractor(
        space=space, network=Means(), pool=lambda maps: maps.flatten(1), prepare=lambda rgb: rgb.astype(np.float32)
    )


def absent(*_: object, **__: object) -> None:
    """Raise as for missing weights."""
    raise WeightsError("not here")
