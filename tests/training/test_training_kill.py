"""Training killed with SIGKILL at any moment: a resumed run is bitwise equal to an uninterrupted one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import assert_same_run, tiny_cyclegan, tiny_run

from ganvas.training.loop import train

SCRIPT = Path(__file__).with_name("train_tiny.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_again_and_again(tiny_data: Path, tmp_path: Path, seed: int) -> None:
    train(tiny_run(tiny_data, epochs=12, checkpoint_every=4), tmp_path / "whole", quiet=True)
    assert_killed_ends_as_whole(tiny_data, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_pool_of_past_fakes_survives_too(tiny_sides: Path, tmp_path: Path) -> None:
    train(tiny_cyclegan(tiny_sides, epochs=12, checkpoint_every=4), tmp_path / "whole", quiet=True)
    assert_killed_ends_as_whole(tiny_sides, tmp_path, 1)


def assert_killed_ends_as_whole(data: Path, folder: Path, seed: int) -> None:
    command = [sys.executable, str(SCRIPT), str(data), str(folder / "killed"), "kills", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
    assert_same_run(folder / "whole", folder / "killed")
    assert not [path for path in (folder / "killed").rglob(".*") if path.suffix == ".safetensors"]
