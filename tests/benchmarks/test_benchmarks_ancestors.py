"""Computations of the benchmark of VAE and VAE/GAN."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from ganvas.image.files import read_image


@pytest.fixture
def ancestors(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("ancestors")


def test_energies_are_shares_of_the_real_pictures_own(ancestors: ModuleType) -> None:
    real = torch.rand(4, 3, 8, 8) * 2 - 1
    row, other = ancestors.rows(
        "noise", {"half": ancestors.Look(real, real / 2, real), "same": ancestors.Look(real, real, real / 4)}
    )
    assert row["energy of reconstructions"] == pytest.approx(1 / 4)
    assert row["energy of samples"] == pytest.approx(1)
    assert other["energy of samples"] == pytest.approx(1 / 16)
    assert row["held out"] == 4


def test_the_energy_of_a_ramp_is_the_squared_slope(ancestors: ModuleType) -> None:
    ramp = torch.linspace(0, 1, 11).expand(1, 1, 7, 11)
    torch.testing.assert_close(
        ancestors.gradient_energy(ramp), torch.tensor([0.01], dtype=torch.float64), atol=1e-8, rtol=0
    )
    torch.testing.assert_close(ancestors.gradient_energy(ramp.mT), ancestors.gradient_energy(ramp))


def test_the_energy_of_a_checkerboard_is_2_and_of_one_gray_0(ancestors: ModuleType) -> None:
    board = (torch.arange(6)[:, None] + torch.arange(8)) % 2
    pictures = torch.stack([board.float(), torch.full((6, 8), 0.3)])[:, None]
    assert ancestors.gradient_energy(pictures).tolist() == [2.0, 0.0]


def test_each_direction_is_a_mean_over_its_own_places_and_channels(ancestors: ModuleType) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(3, 4, 5, 9)
    exact = pictures.double().numpy()
    wanted = [
        ((one[:, 1:] - one[:, :-1]) ** 2).mean() + ((one[:, :, 1:] - one[:, :, :-1]) ** 2).mean() for one in exact
    ]
    assert ancestors.gradient_energy(pictures).tolist() == pytest.approx(wanted)
    assert ancestors.gradient_energy(pictures).dtype == torch.float64


def test_blur_lowers_the_energy_and_noise_raises_it(ancestors: ModuleType) -> None:
    torch.manual_seed(0)
    picture = functional.interpolate(torch.rand(1, 3, 8, 8), (64, 64), mode="bilinear")
    blurred = functional.avg_pool2d(picture, 5, 1, 2, count_include_pad=False)
    energy = ancestors.gradient_energy
    assert energy(blurred) < energy(picture) < energy(picture + 0.1 * torch.randn(64, 64))


def test_a_grid_shows_each_kind_of_picture(ancestors: ModuleType, tmp_path: Path) -> None:
    pictures = torch.rand(20, 1, 16, 16) * 2 - 1
    look = ancestors.Look(pictures, pictures, pictures)
    ancestors.write_grids(tmp_path, "noise", {"VAE": look, "VAE/GAN": look}, scale=1)
    assert read_image(tmp_path / "noise.png").height == 5 * 16 + 4 * 4
    assert read_image(tmp_path / "noise-made.png").height == 4 * 16 + 3 * 4


def test_digits_become_files_with_a_border(ancestors: ModuleType, tmp_path: Path) -> None:
    digits = importlib.import_module("measure.digits").Digits(torch.ones(2, 1, 28, 28), torch.zeros(2))
    ancestors.write_digits(tmp_path, digits)
    pixels = read_image(tmp_path / "00001.png").pixels[:, :, 0]
    assert pixels.shape == (32, 32)
    assert (pixels[2:-2, 2:-2] == 255).all()
    assert pixels.sum() == 255 * 28 * 28
