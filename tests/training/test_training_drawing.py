"""Training of methods that sample from noise: their preview grids, interruption and resumption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_runs import SETTINGS, assert_same_run, rows_of, tensors_of, tiny_picture

from ganvas.data.config import PairedData, UnpairedData
from ganvas.image.files import read_image
from ganvas.inference.config import SampleConfig
from ganvas.inference.sampling import sample_files
from ganvas.methods import DomainGANConfig, MethodConfig, VAEConfig, VAEGANConfig
from ganvas.runs.record import find_snapshot
from ganvas.training import validation
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train

Make = Callable[..., RunConfig]
pytestmark = pytest.mark.filterwarnings("ignore:this run ends after .* before the encoder learns:UserWarning")


@pytest.fixture
def tiny_pictures(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write seven training and three validation pictures of 20 x 20 pixels."""
    for split, count in (("train", 7), ("val", 3)):
        folder = tmp_path / "pictures" / split
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(tiny_picture(rng)).save(folder / f"{index}.png")
    return tmp_path / "pictures"


def make_config(method: MethodConfig, pictures: Path, sides: Path, **training: object) -> RunConfig:
    sizes = {"load_size": (20, 20), "crop_size": (16, 16)}
    data = (
        PairedData(folder=pictures, layout="single", degrade="identity", **sizes)
        if method.paired
        else UnpairedData(folder=sides, **sizes)
    )
    return RunConfig(method=method, data=data, training=TrainingConfig(**(SETTINGS | training)))


METHODS = [
    VAEConfig(width=2, latent_size=4),
    VAEGANConfig(width=2, latent_size=4),
    DomainGANConfig(width=2, z_size=4, encoder_after=10),
]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_stopped_and_resumed_it_ends_to_the_bit_as_one_never_stopped(
    method: MethodConfig, tiny_pictures: Path, tiny_sides: Path, tmp_path: Path
) -> None:
    """The domain GAN stops in its first stage and ends in its second."""
    quiet = {"sample_every": 1000, "validate_every": 1000, "checkpoint_every": 1000}
    whole = make_config(method, tiny_pictures, tiny_sides, epochs=2, constant_fraction=1.0, **quiet)
    train(whole, tmp_path / "whole", quiet=True)
    half = replace(whole, training=replace(whole.training, epochs=1))
    train(half, tmp_path / "run", quiet=True)
    train(whole, tmp_path / "run", resume=True, quiet=True)
    one, two = (tensors_of(tmp_path / name / "state.safetensors") for name in ("whole", "run"))
    assert one.keys() == two.keys()
    assert [name for name in one if one[name].numpy().tobytes() != two[name].numpy().tobytes()] == []


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[2:], ids=lambda method: type(method).__name__)
def test_a_seeded_run_repeats(method: MethodConfig, tiny_pictures: Path, tiny_sides: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(make_config(method, tiny_pictures, tiny_sides, epochs=2), tmp_path / name, quiet=True)
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the tiles that pass the content gate, in order."""
    names: list[str] = []
    admit = validation.admit
    monkeypatch.setattr(validation, "admit", lambda tile, *, name: names.append(name) or admit(tile, name=name))
    return names


def test_the_grid_of_an_autoencoder_shows_pictures_drawn(tiny_pictures: Path, tmp_path: Path, seen: list[str]) -> None:
    config = make_config(METHODS[0], tiny_pictures, tiny_pictures, epochs=1, sample_every=1000)
    train(config, tmp_path / "run", quiet=True)
    assert seen[-6:] == [f"drawn b ({number})" for number in range(1, 7)]
    assert seen[-9:-6] == ["2 (input)", "2 (output)", "2 (target)"]
    (grid,) = (tmp_path / "run" / "samples").iterdir()
    assert read_image(grid).height >= (3 + 2) * 16
    assert rows_of(tmp_path / "run")[-1]["psnr"] > 0


def test_the_grid_of_two_sides_shows_pairs_drawn(tiny_sides: Path, tmp_path: Path, seen: list[str]) -> None:
    config = make_config(METHODS[2], tiny_sides, tiny_sides, epochs=1, sample_every=1000)
    train(config, tmp_path / "run", quiet=True)
    rows = [("a", (1, 2, 3)), ("b", (1, 2, 3)), ("a", (4, 5, 6)), ("b", (4, 5, 6))]
    assert seen[-12:] == [f"drawn {side} ({number})" for side, numbers in rows for number in numbers]


@pytest.mark.slow
def test_a_run_that_ends_before_its_second_stage_says_so(tiny_sides: Path, tmp_path: Path) -> None:
    config = make_config(METHODS[2], tiny_sides, tiny_sides, epochs=1, sample_every=1000)
    with pytest.warns(UserWarning, match="before the encoder learns"):
        train(config, tmp_path / "run", quiet=True)


def test_a_trained_run_draws(tiny_pictures: Path, tmp_path: Path) -> None:
    train(make_config(METHODS[1], tiny_pictures, tiny_pictures, epochs=1), tmp_path / "run", quiet=True)
    assert not [name for name in tensors_of(find_snapshot(tmp_path / "run")) if "discriminator" in name]
    report = sample_files(SampleConfig(tmp_path / "run", tmp_path / "out", count=2, device="cpu"), progress=False)
    assert len(report.written) == 2
