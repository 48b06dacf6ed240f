"""Training of methods that update only some players per step, or that also sample: interruption and resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import SETTINGS, rows_of, tensors_of

from ganvas.data.config import UnpairedData
from ganvas.inference.translator import Translator
from ganvas.methods import CUTConfig, DiscoGANConfig, DualGANConfig, MethodConfig
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train

METHODS: dict[str, MethodConfig] = {
    "cut": CUTConfig(width=4, residual_blocks=1, discriminator_width=4, receptive_field=16, patches=16, projection=4),
    "fastcut": CUTConfig(
        width=4,
        residual_blocks=1,
        discriminator_width=4,
        receptive_field=16,
        identity_weight=0.0,
        flip_equivariance=True,
        antialias=False,
    ),
    "discogan": DiscoGANConfig(width=2, discriminator_interval=3, curriculum_steps=4),
    "dualgan": DualGANConfig(width=4, depth=2, discriminator_width=4, receptive_field=16, critic_steps=4),
}
NAMES = ["cut", pytest.param("fastcut", marks=pytest.mark.slow), "discogan", "dualgan"]


def tiny(folder: Path, name: str, **training: object) -> RunConfig:
    size = (64, 64) if name == "discogan" else (16, 16)
    optimizer = {"optimizer": "rmsprop"} if name == "dualgan" else {"weight_decay": 1e-5}
    return RunConfig(
        method=METHODS[name],
        data=UnpairedData(folder=folder, load_size=size, crop_size=size),
        training=TrainingConfig(**SETTINGS | optimizer | {"constant_fraction": 1.0} | training),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(
    tiny_sides: Path, tmp_path: Path, name: str
) -> None:
    whole = tiny(tiny_sides, name, epochs=2, sample_every=1000, validate_every=1000)
    train(whole, tmp_path / "whole", quiet=True)
    train(replace(whole, training=replace(whole.training, epochs=1)), tmp_path / "run", quiet=True)
    train(whole, tmp_path / "run", resume=True, quiet=True)
    one, two = (tensors_of(tmp_path / folder / "state.safetensors") for folder in ("whole", "run"))
    assert one.keys() == two.keys()
    assert [key for key in one if not key.startswith("losses") and not torch.equal(one[key], two[key])] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*details have another scale")  # tiny pictures, with the sizes of the recipe
def test_a_run_is_validated_and_translates(tiny_sides: Path, tmp_path: Path, name: str) -> None:
    train(tiny(tiny_sides, name, epochs=1.0), tmp_path / "run", quiet=True)
    assert any(row["kind"] == "validation" for row in rows_of(tmp_path / "run"))
    picture = Translator.load(tmp_path / "run", device="cpu")(tiny_sides / "trainA" / "0.png")
    assert (picture.height, picture.width) == (20, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_goes_through_in_parts(tiny_sides: Path, tmp_path: Path, name: str) -> None:
    result = train(tiny(tiny_sides, name, epochs=1.0, accumulate=2), tmp_path / "run", quiet=True)
    assert result.images_seen >= 5
