"""Classifier of checkered patches, and pictures with such patches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ganvas.image.cover import block_means
from ganvas.image.picture import Box
from ganvas.localization import Evidence

CELL = 8


class Checkers:
    """Classifier of two classes; its center crop omits an eighth of each side, as Open NSFW's does."""

    class_names = ("plain", "checkered")
    activation = "softmax"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def evidence(self, rgb: np.ndarray) -> Evidence:
        height, width = rgb.shape[:2]
        part = Box(width // 8, height // 8, width - width // 8, height - height // 8)
        return self.look(rgb[part.top : part.bottom, part.left : part.right], part)

    def dense_evidence(self, rgb: np.ndarray) -> Evidence:
        self.seen.append(rgb.shape)
        return self.look(rgb, Box(0, 0, rgb.shape[1], rgb.shape[0]))

    def look(self, rgb: np.ndarray, extent: Box) -> Evidence:
        gray = rgb.mean(axis=2)
        across = np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
        down = np.abs(np.diff(gray, axis=0, append=gray[-1:]))
        corners = ((across > 60) & (down > 60)).astype(np.float32)[:, :, None]
        features = block_means(corners, CELL).transpose(2, 0, 1)
        logit = 200 * features.mean() - 4
        score = 1 / (1 + np.exp(-logit))
        head, bias = np.array([[0], [200]], np.float32), np.array([0, -4], np.float32)
        return Evidence(np.array([1 - score, score], np.float32), features, head, bias, extent)


@pytest.fixture
def checkers() -> Checkers:
    return Checkers()


MakeScene = Callable[..., np.ndarray]


def make_scene(
    *patches: Box, height: int = 96, width: int = 128, channels: int = 3, dtype: type = np.uint8
) -> np.ndarray:
    """Return (H, W, C): a smooth gradient with checkered patches."""
    rows, columns = np.mgrid[0:height, 0:width]
    unit = (0.3 + 0.4 * columns / width)[:, :, None] * np.ones(channels)
    squares = (((rows // 2) + (columns // 2)) % 2)[:, :, None] * np.ones(channels)
    for patch in patches:
        unit = np.where(patch.mask(height, width)[:, :, None], squares, unit)
    return unit.astype(dtype) if dtype is np.float32 else np.rint(unit * np.iinfo(dtype).max).astype(dtype)


@pytest.fixture
def scene() -> MakeScene:
    return make_scene
