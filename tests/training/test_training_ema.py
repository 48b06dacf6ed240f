"""The moving average by half-life in images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.training.ema import Average, evaluating


class OneWeight(Method):
    """A single number."""

    players: ClassVar = {"generator": ("generator",)}
    generators = ("generator",)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.generator = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        raise NotImplementedError

    def translate(self, images: Tensor) -> Tensor:
        return images

    @property
    def size_multiple(self) -> int:
        return 1

    @property
    def context(self) -> int | None:
        return 0

    def put(self, value: float) -> None:
        with torch.no_grad():
            self.generator[0].weight.fill_(value)


def followed(values: list[tuple[float, int]], half_life: float) -> float:
    """The average after the weight was each value for so many images, one update each."""
    method = OneWeight()
    average, seen = Average(method, half_life), 0
    for value, images in values:
        method.put(value)
        seen += images
        average.update(images=images, images_seen=seen)
    return average.weights["generator.0.weight"].item()


def test_the_first_batch_sets_it() -> None:
    assert followed([(3.0, 4)], 10.0) == 3.0


def test_a_value_weighs_half_after_a_half_life() -> None:
    # weights 1/2 (ten images ago) and 1 (now), each for ten images
    assert followed([(0.0, 10), (3.0, 10)], 10.0) == pytest.approx(2.0)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_batch_size_does_not_matter(parts: int) -> None:
    whole = [(1.0, 8), (5.0, 8), (-2.0, 8)]
    split = [(value, 8 // parts) for value, _ in whole for _ in range(parts)]
    assert followed(split, 7.0) == pytest.approx(followed(whole, 7.0), rel=1e-6)


def test_off_it_holds_nothing() -> None:
    average = Average(OneWeight(), 0.0)
    average.update(images=1, images_seen=1)
    assert average.weights == {}


def test_evaluating_puts_everything_back() -> None:
    method = OneWeight().train()
    average = Average(method, 4.0)
    method.put(1.0)
    average.update(images=1, images_seen=1)
    method.put(2.0)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with evaluating(method, average) as shown:
        assert shown.generator[0].weight.item() == 1.0
        assert not shown.training
        shown.train()
        shown.generator(torch.randn(4, 1))  # moves the running statistics
    assert method.training
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
