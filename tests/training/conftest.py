"""Tiny data for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training_runs import MakeConfig, tiny_picture, tiny_run

from ganvas.training import loop


@pytest.fixture
def tiny_data(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write seven training and three validation pairs of 20 x 20 pixels; b is a with inverted colors."""
    for split, count in (("train", 7), ("val", 3)):
        for index in range(count):
            picture = tiny_picture(rng)
            for side, pixels in (("a", picture), ("b", 255 - picture)):
                folder = tmp_path / "data" / split / side
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def tiny_sides(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write unpaired sides of 20 x 20 pixels: five dark and seven bright for training, four and five for validation."""
    for name, count, floor in (("trainA", 5, 0), ("trainB", 7, 128), ("valA", 4, 0), ("valB", 5, 128)):
        folder = tmp_path / "sides" / name
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(tiny_picture(rng) // 2 + floor).save(folder / f"{index}.png")
    return tmp_path / "sides"


@pytest.fixture
def tiny_config(tiny_data: Path) -> MakeConfig:
    """Return the config of `tiny_run` on `tiny_data`."""
    return lambda **changes: tiny_run(tiny_data, **changes)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Call a function after a number of steps of the next run."""

    def arrange(step: int, action: Callable[[], None]) -> None:
        steps = iter(range(1, 10_000))

        def counted(*given: Any, **named: Any) -> Any:
            losses = take_turns(*given, **named)
            if next(steps) == step:
                action()
            return losses

        monkeypatch.setattr(loop, "take_turns", counted)

    take_turns = loop.take_turns
    return arrange
