"""Training on unpaired sides: previews, validation, interruption and resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import assert_same_run, rows_of, tensors_of, tiny_cyclegan, tiny_run, torchrun

from ganvas.content_gate import AdmittedPicture, admit, gate
from ganvas.errors import ConfigError
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.image.files import read_image
from ganvas.image.picture import Picture
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.runs.record import find_snapshot, read_run_record
from ganvas.serialization import from_record, to_record
from ganvas.training import validation
from ganvas.training.config import RunConfig
from ganvas.training.dataset import open_dataset
from ganvas.training.distributed import Processes
from ganvas.training.loop import train
from ganvas.training.state import read_config


def test_a_whole_run(tiny_sides: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(tiny_cyclegan(tiny_sides, epochs=2), run, quiet=True)
    assert result.images_seen == 14
    assert result.best == {}
    assert "best" not in str(result)
    assert [path.name for path in (run / "snapshots").iterdir()] == ["last.safetensors"]
    assert find_snapshot(run).stem == "last"
    validations = [row for row in rows_of(run) if row["kind"] == "validation"]
    assert {"cycle_a_psnr", "cycle_b_l1", "spread"} <= validations[0].keys()
    assert not {"psnr", "ssim", "l1"} & validations[0].keys()
    assert not [name for name in tensors_of(find_snapshot(run)) if "replay" in name or "discriminator" in name]


def test_the_record_is_read_back(tiny_sides: Path, tmp_path: Path) -> None:
    config = tiny_cyclegan(tiny_sides, epochs=0.5)
    train(config, tmp_path / "run", quiet=True)
    assert read_run_record(tmp_path / "run").data == config.data
    assert read_config(tmp_path / "run") == config
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["method"]["kind"], record["data"]["kind"]) == ("CycleGANConfig", "UnpairedData")


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(tiny_sides: Path, tmp_path: Path) -> None:
    """By then the pool of five past fakes is full."""
    whole = tiny_cyclegan(tiny_sides, epochs=2, constant_fraction=1.0)
    train(whole, tmp_path / "whole", quiet=True)
    half = replace(whole, training=replace(whole.training, epochs=1, sample_every=1000, validate_every=1000))
    train(half, tmp_path / "run", quiet=True)
    for name in ("samples", "snapshots"):  # written by the early end
        for path in (tmp_path / "run" / name).iterdir():
            path.unlink()
    train(whole, tmp_path / "run", resume=True, quiet=True)
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("whole", "run"))
    assert one.keys() == two.keys()
    assert [name for name in one if not name.startswith("losses") and not torch.equal(one[name], two[name])] == []
    assert any("replay_a" in name for name in one)


@pytest.mark.slow
def test_a_seeded_run_repeats(tiny_sides: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(tiny_cyclegan(tiny_sides, epochs=1), tmp_path / name, quiet=True)
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_the_grid_shows_each_side_translated_and_back(
    tiny_sides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def admitted(tile: Picture, *, name: str) -> AdmittedPicture:
        seen.append(name)
        return admit(tile, name=name)

    monkeypatch.setattr(validation, "admit", admitted)
    train(tiny_cyclegan(tiny_sides, epochs=1, sample_every=1000), tmp_path / "run", quiet=True)
    tiles = [f"{name} ({side})" for name in ("0.png", "2.png") for side in ("input", "output", "back")]
    tiles += [f"{name} ({side})" for name in ("0.png", "3.png") for side in ("input", "output", "back")]
    assert seen[-12:] == tiles
    (grid,) = (tmp_path / "run" / "samples").iterdir()
    picture = read_image(grid)
    assert picture.height >= 4 * 16
    assert picture.width >= 3 * 16


def test_a_refused_tile_is_drawn_gray(tiny_sides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_cyclegan(tiny_sides, epochs=1)
    pictures = open_dataset(config, Processes(torch.device("cpu")), tmp_path)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 if rgb.min() >= 127 else 0.0)
    gate.forget_scorer()

    class Same(torch.nn.Module):
        size_multiple = smallest_side = scale = 1
        directions, samples = ("a_to_b", "b_to_a"), ()

        def translate(self, images: torch.Tensor, *, direction: str = "a_to_b") -> torch.Tensor:
            return images

    refused = validation.write_preview(tmp_path / "grid.png", Same(), pictures)
    assert len(refused) == 6  # both bright pictures: input, translation and round trip
    gray = np.all(read_image(tmp_path / "grid.png").pixels == validation.GRAY, axis=2)
    assert gray.sum() >= 6 * 16 * 16


@pytest.mark.slow
def test_cyclegan_learns_from_pairs_too(tiny_data: Path, tmp_path: Path) -> None:
    config = replace(tiny_cyclegan(tiny_data, epochs=2), data=tiny_run(tiny_data).data)
    result = train(config, tmp_path / "run", quiet=True)
    assert result.best["psnr"] > 0
    assert find_snapshot(tmp_path / "run").stem == "best"
    settings = {"split": "val", "device": "cpu"}
    there, back = (
        evaluate_run(EvaluateConfig(tmp_path / "run", out=tmp_path / way, direction=way, **settings), progress=False)
        for way in ("a_to_b", "b_to_a")
    )
    assert there.output["psnr"].mean != back.output["psnr"].mean
    assert there.baseline["psnr"].mean == pytest.approx(back.baseline["psnr"].mean)


def test_a_method_of_pairs_refuses_unpaired_data(tiny_sides: Path) -> None:
    with pytest.raises(ConfigError, match="Pix2Pix needs pairs: use PairedData, or another method"):
        RunConfig(method=Pix2PixConfig(), data=tiny_cyclegan(tiny_sides).data)


def test_both_kinds_of_data_are_read_strictly(tiny_data: Path, tiny_sides: Path) -> None:
    for config in (tiny_run(tiny_data), tiny_cyclegan(tiny_sides)):
        assert from_record(RunConfig, to_record(config)) == config
    assert to_record(RunConfig())["data"]["kind"] == "PairedData"
    assert not hasattr(from_record(CycleGANConfig, {}), "kind")


@pytest.mark.distributed
def test_torchrun_trains_as_one_process(tiny_sides: Path, tmp_path: Path) -> None:
    """Without a pool, since every process has its own."""
    method = {"norm": "none", "dropout": 0.0, "pool_size": 0}
    train(tiny_cyclegan(tiny_sides, method=method), tmp_path / "one", quiet=True)
    torchrun(tiny_sides, tmp_path / "two")
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5)
