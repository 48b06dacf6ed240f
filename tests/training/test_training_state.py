"""States that cannot be loaded say why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from training_runs import MakeConfig

from ganvas.errors import RunError
from ganvas.runs.checkpoint import STATE_NAME
from ganvas.training.loop import train


def test_a_damaged_state_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    path = tmp_path / "run" / STATE_NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="cannot be read as a training state"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def test_another_file_in_its_place_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    save_file({"x": torch.zeros(1)}, tmp_path / "run" / STATE_NAME)
    with pytest.raises(RunError, match="is not a training state of this ganvas"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)


def test_a_state_without_a_record_is_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunError, match=r"has a training state but no run\.json"):
        train(tiny_config(epochs=2), tmp_path / "run", resume=True, quiet=True)
