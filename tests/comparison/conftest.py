"""Tiny data to compare methods on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ganvas.comparison import measures
from ganvas.errors import WeightsError
from ganvas.evaluation.distribution import FeatureSpace
from ganvas.evaluation.features import FeatureExtractor


def soft(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Soft spots."""
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture
def pairs(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Side by side, 32 pixels: right is left with the colours turned round."""
    for split, count in (("train", 6), ("val", 3), ("test", 5)):
        folder = tmp_path / "pairs" / split
        folder.mkdir(parents=True)
        for index in range(count):
            picture = soft(rng, 32)
            Image.fromarray(np.concatenate([picture, 255 - picture], axis=1)).save(folder / f"{index}.png")
    return tmp_path / "pairs"


@pytest.fixture
def sides(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Without pairs: dark and bright pictures of 32 pixels, not as many of each."""
    for name, count, floor in (("trainA", 5, 0), ("trainB", 7, 128), ("testA", 4, 0), ("testB", 6, 128)):
        folder = tmp_path / "sides" / name
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(soft(rng, 32) // 2 + floor).save(folder / f"{index}.png")
    return tmp_path / "sides"


class Means(nn.Module):
    """Colours averaged over quarters of the picture: (N, 3, 32, 32) -> (N, 3, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))  # tells the device

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 2)


@pytest.fixture(autouse=True)
def quick_eyes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve features instead of EfficientNet's, and no LPIPS, unless the test is slow."""
    if "slow" in request.keywords:
        return
    space = FeatureSpace(name="quarters", dimension=12, protocol="as they are")
    extractor = FeatureExtractor(
        space=space, network=Means(), pool=lambda maps: maps.flatten(1), prepare=lambda rgb: rgb.astype(np.float32)
    )
    monkeypatch.setattr(measures, "efficientnet_features", lambda: extractor)
    monkeypatch.setattr(measures, "load_lpips", _absent)
    monkeypatch.setattr(measures, "inception_features", _absent)


def _absent(**_: object) -> None:
    raise WeightsError("not here")
