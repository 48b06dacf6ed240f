"""Pairs for validation and for previews."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from training_runs import MakeConfig, tiny_cyclegan

from ganvas.data.cache import Side
from ganvas.errors import DataError
from ganvas.methods.config import Direction
from ganvas.training.dataset import open_dataset
from ganvas.training.distributed import Processes
from ganvas.training.validation import measure_pairs, measure_sides, validate

ALONE = Processes(torch.device("cpu"))


def test_pairs_are_spread_over_the_split(tiny_config: MakeConfig, tmp_path: Path) -> None:
    pictures = open_dataset(tiny_config(), ALONE, tmp_path)
    assert [name for name, _, _ in pictures.pairs(pictures.shown, 10)] == ["0", "1", "2"]
    assert [name for name, _, _ in pictures.pairs(pictures.shown, 2)] == ["0", "2"]
    assert [name for name, _, _ in pictures.pairs(pictures.shown, 1)] == ["0"]


def test_what_is_not_shown_is_not_read(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = open_dataset(tiny_config(), ALONE, tmp_path)
    read: list[int] = []
    get = Side.__getitem__
    monkeypatch.setattr(Side, "__getitem__", lambda side, index: read.append(index) or get(side, index))
    assert len(list(pictures.pairs(pictures.shown, 2))) == 2
    assert read == [0, 0, 2, 2]


class Same(torch.nn.Module):
    """Method that returns its input, or one picture for all inputs."""

    size_multiple = smallest_side = scale = 1
    directions: tuple[Direction, ...] = ("a_to_b", "b_to_a")

    def __init__(self, *, constant: bool) -> None:
        super().__init__()
        self.constant = constant

    def translate(self, images: torch.Tensor, *, direction: Direction = "a_to_b") -> torch.Tensor:
        return torch.zeros_like(images) if self.constant else images


def test_validation_measures_and_sees_a_collapse() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = [(str(i), x, x) for i in range(5) for x in [torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1]]
    perfect = measure_pairs(Same(constant=False), pairs)
    assert perfect == pytest.approx({"psnr": 100.0, "l1": 0.0, "ssim": 1.0, "spread": 1.0})
    collapsed = measure_pairs(Same(constant=True), pairs)
    assert collapsed["spread"] == 0.0
    assert collapsed["psnr"] < 20
    assert measure_pairs(Same(constant=True), []) == {}
    assert "spread" not in measure_pairs(Same(constant=True), pairs[:3])


def test_a_picture_too_small_for_ssim_counts_in_the_rest() -> None:
    large, small = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 8, 16)
    for pairs in ([large, small], [small, large]):
        measures = measure_pairs(Same(constant=False), [("", x, x) for x in pairs])
        assert measures == pytest.approx({"psnr": 100.0, "l1": 0.0, "ssim": 1.0})


def test_unpaired_pictures_are_spread_over_each_side(tiny_sides: Path, tmp_path: Path) -> None:
    pictures = open_dataset(tiny_cyclegan(tiny_sides), ALONE, tmp_path)
    assert not pictures.paired
    assert pictures.loader.epoch_size == 7
    a, b = (list(side) for side in pictures.sides(pictures.shown, 2))
    assert [name for name, _ in a] == ["0.png", "2.png"]
    assert [name for name, _ in b] == ["0.png", "3.png"]
    assert max(image.max().item() for _, image in a) < 0.01 < 0.1 < min(image.max().item() for _, image in b)
    assert validate(Same(constant=False), pictures, 10)["cycle_b_psnr"] == 100.0


def test_without_a_split_to_validate_on_there_are_no_measures(tiny_sides: Path, tmp_path: Path) -> None:
    for name in ("valA", "valB"):
        shutil.rmtree(tiny_sides / name)
    pictures = open_dataset(tiny_cyclegan(tiny_sides), ALONE, tmp_path)
    assert validate(Same(constant=False), pictures, 10) == {}
    assert [len(list(side)) for side in pictures.sides(pictures.shown, 2)] == [2, 2]


def test_half_a_split_is_an_error(tiny_sides: Path, tmp_path: Path) -> None:
    shutil.rmtree(tiny_sides / "valB")
    with pytest.raises(DataError, match="valB does not exist"):
        open_dataset(tiny_cyclegan(tiny_sides), ALONE, tmp_path)


def test_what_there_is_to_measure_without_targets() -> None:
    """A perfect round trip says nothing about the picture in between; a collapse is visible as on pairs."""
    generator = torch.Generator().manual_seed(0)
    a, b = ([(str(i), torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1) for i in range(5)] for _ in range(2))
    found = measure_sides(Same(constant=False), a, b)
    assert found.pop("spread") == pytest.approx(1.0, abs=0.2)
    assert found == {
        f"cycle_{s}_{name}": best for s in "ab" for name, best in (("psnr", 100.0), ("l1", 0), ("ssim", 1))
    }
    collapsed = measure_sides(Same(constant=True), a, b)
    assert collapsed["spread"] == 0.0
    assert collapsed["cycle_a_psnr"] < 20


def test_a_method_of_one_direction_has_no_way_back() -> None:
    method = Same(constant=False)
    method.directions = ("a_to_b",)
    generator = torch.Generator().manual_seed(0)
    a, b = ([(str(i), torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1) for i in range(5)] for _ in range(2))
    assert list(measure_sides(method, a, b)) == ["spread"]
