"""Tiny data for comparisons of methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ganvas.evaluation import comparison_measures as measures
from quick_features import absent, quick_extractor


def soft(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return smooth spots."""
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture
def pairs(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write pairs of 32 pixels side by side; the right half is the left one with inverted colors."""
    for split, count in (("train", 6), ("val", 3), ("test", 5)):
        folder = tmp_path / "pairs" / split
        folder.mkdir(parents=True)
        for index in range(count):
            picture = soft(rng, 32)
            Image.fromarray(np.concatenate([picture, 255 - picture], axis=1)).save(folder / f"{index}.png")
    return tmp_path / "pairs"


@pytest.fixture
def sides(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write unpaired sides of dark and of bright pictures of 32 pixels, in different numbers."""
    for name, count, floor in (("trainA", 5, 0), ("trainB", 7, 128), ("testA", 4, 0), ("testB", 6, 128)):
        folder = tmp_path / "sides" / name
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(soft(rng, 32) // 2 + floor).save(folder / f"{index}.png")
    return tmp_path / "sides"


@pytest.fixture
def networks_at_hand() -> None:
    """Return the networks with which `ganvas compare` measures."""


@pytest.fixture(autouse=True)
def quick_eyes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use twelve features instead of EfficientNet's, and no LPIPS, unless the test requests `networks_at_hand`."""
    if "networks_at_hand" in request.fixturenames:
        return
    monkeypatch.setattr(measures, "efficientnet_features", quick_extractor)
    monkeypatch.setattr(measures, "load_lpips", absent)
    monkeypatch.setattr(measures, "inception_features", absent)
