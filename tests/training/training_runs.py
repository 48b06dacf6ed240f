"""Tiny runs and readers of their files, for the tests of training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from ganvas.data.config import PairedData, UnpairedData
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.training.config import RunConfig, TrainingConfig

MakeConfig = Callable[..., RunConfig]


SETTINGS: dict[str, Any] = {
    "epochs": 6, "batch_size": 2, "constant_fraction": 0.5, "ema_half_life": 8.0,
    "checkpoint_every": 7, "validate_every": 9, "sample_every": 16, "log_every": 5, "device": "cpu",
}  # fmt: skip


def tiny_run(data: Path, *, method: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    """Return a run that takes well under a second and has all kinds of state: batch norm, dropout, a moving average."""
    networks: dict[str, Any] = {"width": 4, "depth": 2, "discriminator_width": 4, "receptive_field": 16}
    return RunConfig(
        method=Pix2PixConfig(**(networks | (method or {}))),
        data=PairedData(folder=data, load_size=(20, 20), crop_size=(16, 16)),
        training=TrainingConfig(**(SETTINGS | training)),
    )


def tiny_cyclegan(data: Path, *, method: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    """Return the same for unpaired pictures, with a pool of past fakes that fills up during training."""
    networks: dict[str, Any] = {
        "width": 4, "residual_blocks": 1, "discriminator_width": 4, "receptive_field": 16, "pool_size": 5,
    }  # fmt: skip
    return RunConfig(
        method=CycleGANConfig(**(networks | (method or {}))),
        data=UnpairedData(folder=data, load_size=(20, 20), crop_size=(16, 16)),
        training=TrainingConfig(**(SETTINGS | training)),
    )


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics, without wall times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same_run(left: Path, right: Path) -> None:
    """Compare state, snapshots, previews and metrics bitwise, except wall times."""
    one, two = tensors_of(left / "state.safetensors"), tensors_of(right / "state.safetensors")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name].numpy().tobytes() != two[name].numpy().tobytes()] == []
    for folder in ("snapshots", "samples"):
        names = sorted(path.name for path in (left / folder).iterdir())
        assert names == sorted(path.name for path in (right / folder).iterdir())
        for name in names:
            assert (left / folder / name).read_bytes() == (right / folder / name).read_bytes(), name
    assert rows_of(left) == rows_of(right)


def tiny_picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return smooth spots."""
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((20, 20), Image.Resampling.BICUBIC))


def torchrun(data: Path, run: Path) -> None:
    """Train the tiny run for this kind of data in two processes with one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(Path(__file__).with_name("train_tiny.py")), str(data), str(run)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
