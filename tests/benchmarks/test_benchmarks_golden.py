"""Golden record: every recipe has a small version that can be built."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from ganvas.methods.base import build
from ganvas.recipes import RECIPES


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_a_small_version(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    golden = importlib.import_module("golden")
    config = golden.small_config(Path("pictures"), recipe)
    assert config.training.epochs * 4 == golden.STEPS * golden.BATCH
    with torch.device("meta"):  # shapes only
        build(config.method, input_channels=3, output_channels=3, image_size=config.data.crop_size)
