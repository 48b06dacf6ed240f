"""Which pairs are validated on and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_runs import MakeConfig

from ganvas.data.cache import Cache
from ganvas.training.distributed import Processes
from ganvas.training.pictures import open_pictures
from ganvas.training.validation import validate

ALONE = Processes(torch.device("cpu"))


def test_pairs_are_spread_over_the_split(tiny_config: MakeConfig, tmp_path: Path) -> None:
    pictures = open_pictures(tiny_config(), ALONE, tmp_path)
    assert [name for name, _, _ in pictures.validation_pairs(10)] == ["0", "1", "2"]
    assert [name for name, _, _ in pictures.validation_pairs(2)] == ["0", "2"]
    assert [name for name, _, _ in pictures.shown_pairs(1)] == ["0"]


def test_what_is_not_shown_is_not_read(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = open_pictures(tiny_config(), ALONE, tmp_path)
    read: list[int] = []
    get = Cache.__getitem__
    monkeypatch.setattr(Cache, "__getitem__", lambda cache, index: read.append(index) or get(cache, index))
    assert len(list(pictures.validation_pairs(2))) == 2
    assert read == [0, 2]


class Same(torch.nn.Module):
    """Gives back what it is given, or one picture for all."""

    size_multiple = 1

    def __init__(self, *, constant: bool) -> None:
        super().__init__()
        self.constant = constant

    def translate(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(images) if self.constant else images


def test_validation_measures_and_sees_a_collapse() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = [(str(i), x, x) for i in range(5) for x in [torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1]]
    perfect = validate(Same(constant=False), pairs)
    assert perfect == pytest.approx({"psnr": 100.0, "l1": 0.0, "ssim": 1.0, "spread": 1.0})
    collapsed = validate(Same(constant=True), pairs)
    assert collapsed["spread"] == 0.0
    assert collapsed["psnr"] < 20
    assert validate(Same(constant=True), []) == {}
    assert "spread" not in validate(Same(constant=True), pairs[:3])


def test_a_picture_too_small_for_ssim_counts_in_the_rest() -> None:
    large, small = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 8, 16)
    for pairs in ([large, small], [small, large]):
        measures = validate(Same(constant=False), [("", x, x) for x in pairs])
        assert measures == pytest.approx({"psnr": 100.0, "l1": 0.0, "ssim": 1.0})
