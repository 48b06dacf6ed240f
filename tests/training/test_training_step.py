"""Training step: each turn updates its own player and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.step import make_optimizers, set_rate, take_turns

ALONE = Processes(torch.device("cpu"))


class Duel(Method):
    """Method whose critic moves twice before its generator; each turn records earlier updates."""

    players: ClassVar = {"maker": ("maker",), "critic": ("critic",)}
    generators = ("maker",)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.maker, self.critic = nn.Linear(2, 2), nn.Linear(2, 1)
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.dtypes: list[torch.dtype] = []

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        for _ in range(2):
            self._note()
            made = self.maker(batch.a)
            self.dtypes.append(made.dtype)
            yield Turn("critic", {"gap": self.critic(made).mean() - self.critic(batch.b).mean()})
        self._note()
        yield Turn("maker", {"fool": -self.critic(self.maker(batch.a)).mean(), "step": made.sum() * 0 + progress.step})
        self._note()

    def _note(self) -> None:
        self.seen.append((self.maker.weight.detach().clone(), self.critic.weight.detach().clone()))

    def translate(self, images: Tensor) -> Tensor:
        return images

    @property
    def size_multiple(self) -> int:
        return 1

    @property
    def context(self) -> int | None:
        return 0


def batch() -> Batch:
    return Batch(torch.randn(3, 2), torch.randn(3, 2))


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_each_turn_moves_its_own_player(optimizer: str) -> None:
    method = Duel()
    settings = TrainingConfig(optimizer=optimizer)
    optimizers = make_optimizers(method, settings)
    losses = take_turns(method, optimizers, batch(), Progress(6, 2), settings=settings, processes=ALONE)
    moved = [
        tuple(not torch.equal(x, y) for x, y in zip(before, after, strict=True))
        for before, after in zip(method.seen, method.seen[1:], strict=False)
    ]
    assert moved == [(False, True), (False, True), (True, False)]
    assert losses.keys() == {"critic/gap", "maker/fool", "maker/step"}
    assert losses["maker/step"] == 2
    assert not any(loss.requires_grad for loss in losses.values())


def test_bfloat16_is_for_the_forward_pass() -> None:
    method = Duel()
    settings = TrainingConfig(precision="bfloat16")
    take_turns(method, make_optimizers(method, settings), batch(), Progress(0, 0), settings=settings, processes=ALONE)
    assert method.dtypes == [torch.bfloat16] * 2
    assert {value.dtype for value in method.parameters()} == {torch.float32}


def test_the_rate_reaches_every_player() -> None:
    optimizers = make_optimizers(Duel(), TrainingConfig())
    set_rate(optimizers, 0.25)
    assert [group["lr"] for optimizer in optimizers.values() for group in optimizer.param_groups] == [0.25, 0.25]


def test_a_parameter_without_a_player_is_our_mistake() -> None:
    method = Duel()
    method.stray = nn.Linear(1, 1)
    with pytest.raises(AssertionError, match=r"no player trains \['stray.weight', 'stray.bias'\]"):
        make_optimizers(method, TrainingConfig())
