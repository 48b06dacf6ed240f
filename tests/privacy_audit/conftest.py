"""Tiny labeled pictures for the privacy audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.privacy_audit import attacks, audit
from quick_features import absent, quick_extractor

KINDS = {"brick": (180, 60, 40), "leaf": (40, 160, 60), "sky": (70, 120, 220)}


def striped(color: tuple[int, int, int], seed: int, side: int = 32) -> np.ndarray:
    """Return (side, side, 3): a color with smooth stripes and grain, which differ between seeds."""
    draw = np.random.default_rng(seed)
    stripes = 40 * np.sin(np.arange(side) / draw.uniform(1.5, 4) + draw.uniform(0, 6))
    picture = np.asarray(color) + stripes[:, None, None] + draw.normal(0, 12, (side, side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """Write FOLDER/KIND: eight pictures of each of three kinds, 40x32."""
    for number, (kind, color) in enumerate(KINDS.items()):
        for index in range(8):
            picture = striped(color, 100 * number + index, 40)[:32]
            write_image(tmp_path / "kinds" / kind / f"{index}.png", Picture(picture))
    return tmp_path / "kinds"


@pytest.fixture
def quick_attackers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use twelve features instead of EfficientNet's, one penalty, small batches, no LPIPS, and a small restorer."""
    recipe = audit.restore()
    small = replace(recipe, method=replace(recipe.method, width=4, depth=2))
    monkeypatch.setattr(audit, "efficientnet_features", quick_extractor)
    monkeypatch.setattr(attacks, "DECAYS", (1e-3,))
    monkeypatch.setattr(attacks, "BATCH", 16)
    monkeypatch.setattr(audit, "load_lpips", absent)
    monkeypatch.setattr(audit, "restore", lambda: small)
