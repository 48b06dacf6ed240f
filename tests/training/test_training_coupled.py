"""CoGAN and UNIT in the trainer: training by their recipes, resumption, loading, and translation in both directions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import SETTINGS, tensors_of

from ganvas.data.config import UnpairedData
from ganvas.inference.translator import Translator
from ganvas.recipes import RECIPES
from ganvas.runs.record import find_snapshot
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train

SMALL = {
    "cogan": {"width": 16, "discriminator_width": 2, "search_steps": 2, "search_restarts": 2},
    "unit": {"width": 4, "discriminator_width": 4, "residual_blocks": 1},
}


@pytest.fixture(
    params=[
        "cogan",
        pytest.param("cogan_port", marks=pytest.mark.slow),
        "unit",
        pytest.param("unit_port", marks=pytest.mark.slow),
    ]
)
def config(request: pytest.FixtureRequest, tiny_sides: Path) -> RunConfig:
    """Return the recipe for 16-pixel pictures, with small networks."""
    recipe: RunConfig = RECIPES[request.param]()
    data = UnpairedData(folder=tiny_sides, load_size=(20, 20), crop_size=(16, 16))
    words = SETTINGS | {"epochs": 1, "sample_every": 1000, "validate_every": 1000, "constant_fraction": 1.0}
    kept = {name: getattr(recipe.training, name) for name in ("learning_rate", "betas", "weight_decay")}
    method = replace(recipe.method, **SMALL[request.param.removesuffix("_port")])
    return RunConfig(method=method, data=data, training=TrainingConfig(**(words | kept)))


@pytest.mark.slow
def test_a_run_translates_both_ways_the_same_each_time(config: RunConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "run", quiet=True)
    names = tensors_of(find_snapshot(tmp_path / "run"))
    assert not [name for name in names if name.startswith("discriminator")]
    pixels = np.random.default_rng(0).integers(0, 256, (21, 17, 3)).astype(np.uint8)
    for direction in ("a_to_b", "b_to_a"):
        translator = Translator.load(tmp_path / "run", device="cpu", direction=direction)
        made = translator(pixels)
        assert made.shape == pixels.shape
        assert np.array_equal(made, translator(pixels))


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(config: RunConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "whole", quiet=True)
    half = replace(config, training=replace(config.training, epochs=0.5))
    train(half, tmp_path / "run", quiet=True)
    train(config, tmp_path / "run", resume=True, quiet=True)
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("whole", "run"))
    assert one.keys() == two.keys()
    assert [name for name in one if not name.startswith("losses") and not np.array_equal(one[name], two[name])] == []


def test_the_recipes_are_the_papers() -> None:
    cogan, unit, port = (RECIPES[name]() for name in ("cogan", "unit", "unit_port"))
    assert (cogan.method.z_size, cogan.method.width, cogan.method.noise) == (100, 1024, "uniform")
    assert (cogan.training.learning_rate, cogan.training.betas, cogan.training.weight_decay) == (
        2e-4,
        (0.5, 0.999),
        5e-4,
    )
    weights = ("adversarial_weight", "kl_weight", "reconstruction_weight", "cycle_weight")
    assert [getattr(unit.method, name) for name in weights] == [10.0, 0.1, 100.0, 100.0]
    assert (unit.training.learning_rate, unit.training.batch_size, unit.method.shared_blocks) == (1e-4, 1, 1)
    assert [getattr(port.method, name) for name in weights[1:]] == [0.01, 10.0, 10.0]
    assert (port.method.shared_blocks, port.method.objective) == (0, "least_squares")
