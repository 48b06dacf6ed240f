"""Untrusted run folders: whatever run.json and a snapshot contain, an error names the file and uses little memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from inference_runs import write_tiny_run
from safetensors.torch import load_file, save_file

from ganvas.errors import ConfigError, RunError
from ganvas.methods import CycleGANConfig, Pix2PixConfig, SRResNetConfig, UNITConfig
from ganvas.methods.base import build
from ganvas.runs.record import SNAPSHOT_FORMAT, load_generators, snapshot_path

META = {"format": SNAPSHOT_FORMAT, "images_seen": "1"}


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("method", {"kind": ["Pix2PixConfig"]}), ("method", {"kind": {"a": 1}}), ("method", {"kind": None}),
        ("method", {"width": 10**6}), ("method", {"width": 10**30}), ("method", {"width": -1}),
        ("method", {"depth": 10**9}), ("method", {"dropout": float("nan")}), ("method", {"width": "64"}),
        ("input", {"channels": -1}), ("input", {"channels": 10**9}), ("input", {"channels": 10**400}),
        ("output", {"value_range": [float("nan"), 1.0]}), ("output", {"value_range": [0, 10**400]}),
        (None, {"image_size": [0, 16]}), (None, {"image_size": [-1, -1]}), (None, {"image_size": [10**12, 10**12]}),
        (None, {"method": []}), (None, {"method": 5}), (None, {"version": [1]}), (None, {"data": {"kind": []}}),
        (None, {"data": {"kind": "PairedData", "folder": 5}}), (None, {"input": {"kind": {}}}),
    ],
)  # fmt: skip
def test_absurd_settings(part: str | None, changes: dict[str, Any], tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (record if part is None else record[part]).update(changes)
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises((RunError, ConfigError)):
        load_generators(run)


@pytest.mark.parametrize(
    "metadata",
    [
        None, {}, {"format": SNAPSHOT_FORMAT},
        *({**META, "images_seen": text} for text in ("x", "", "-1", "1.5", "9" * 400)),
    ],
)  # fmt: skip
def test_metadata_of_a_snapshot(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    path = snapshot_path(run, "last")
    save_file(load_file(path), path, metadata=metadata)
    with pytest.raises(RunError, match=str(path)):
        load_generators(run)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.int64, torch.uint8])
def test_weights_of_another_kind(dtype: torch.dtype, tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    path = snapshot_path(run, "last")
    save_file({name: value.to(dtype) for name, value in load_file(path).items()}, path, metadata=META)
    with pytest.raises(RunError, match=rf"weight \S+ holds {dtype}, the run needs torch.float32"):
        load_generators(run)


@pytest.mark.parametrize("length", [0, 4, 8, 100, 2_000])
def test_a_snapshot_cut_short(length: int, tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    path = snapshot_path(run, "last")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match="cannot be read as a snapshot"):
        load_generators(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            SRResNetConfig(
                generator="nafnet",
                scale=1,
                width=256,
                middle_blocks=200,
                encoder_blocks=(1,) * 6,
                decoder_blocks=(1,) * 6,
            ),
            r"generator nafnet have [\d,]+ GB of weights, the machine",
        ),
        (Pix2PixConfig(width=10**6), r"width 1000000 have [\d,]+ GB of weights, the machine"),
        (CycleGANConfig(residual_blocks=10**9), "residual_blocks 1000000000 is more than 1000"),
        (UNITConfig(discriminator_scales=10**9), "discriminator_scales 1000000000 is more than 1000"),
        (Pix2PixConfig(width=10**30), "cannot be built"),
    ],
)
def test_networks_larger_than_the_machine(config: object, told: str) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(ConfigError, match=told):
        build(config, input_channels=3, output_channels=3, image_size=(64, 64))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_wide_network_is_built_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building on the meta device first does not change the weights drawn from the seed."""
    from ganvas.methods import base

    weights = []
    for usual in (256, 2):
        monkeypatch.setattr(base, "USUAL", usual)
        torch.manual_seed(0)
        weights.append(build(Pix2PixConfig(width=4), input_channels=3, output_channels=3, image_size=(32, 32)))
    states = [method.state_dict() for method in weights]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
