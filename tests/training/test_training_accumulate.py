"""Gradient accumulation: parts of a batch update the weights as the whole batch does, with less memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_runs import MakeConfig, assert_same_run

from ganvas.errors import ConfigError
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.methods.base import Batch, Method, Progress, build
from ganvas.training import loop, step
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes, warn_of_batch_norm
from ganvas.training.loop import train
from ganvas.training.performance import recomputing
from ganvas.training.step import make_optimizers, take_turns

ALONE = Processes(torch.device("cpu"))
SMALL = {"width": 4, "discriminator_width": 4, "receptive_field": 16}
CONFIGS = {
    "unet": Pix2PixConfig(**SMALL, depth=2, norm="instance", dropout=0.0),
    "no norm": Pix2PixConfig(**SMALL, depth=2, norm="none", dropout=0.0, objective="hinge"),
    "l1 alone": Pix2PixConfig(**SMALL, depth=2, norm="instance", dropout=0.0, adversarial_weight=0.0),
    "cyclegan": CycleGANConfig(**SMALL, residual_blocks=1, pool_size=0, identity_weight=0.5),
    "cyclegan, discriminators first": CycleGANConfig(
        **SMALL, residual_blocks=1, pool_size=0, order="discriminators_first"
    ),
}


def make(config: Any) -> Method:
    torch.manual_seed(0)
    return build(config, input_channels=3, output_channels=3, image_size=(16, 16)).double().train()


def gradients(config: Any, parts: int, *, precision: Any = "float32") -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradients of each turn as seen by its optimizer, and the losses, of one step in float64."""
    method, found = make(config), {}
    settings = TrainingConfig(batch_size=4, accumulate=parts, precision=precision)
    optimizers = make_optimizers(method, settings)
    for player, optimizer in optimizers.items():

        def note(optimizer: torch.optim.Optimizer, args: Any, named: Any, player: str = player) -> None:
            for index, parameter in enumerate(step.trained_by(optimizer)):
                assert parameter.grad is not None
                found[f"{player}/{index}"] = parameter.grad.clone()

        optimizer.register_step_pre_hook(note)
    a, b = torch.rand(2, 4, 3, 16, 16, dtype=torch.float64) * 2 - 1
    losses = take_turns(method, optimizers, Batch(a, b), Progress(0, 0), settings=settings, processes=ALONE)
    return found, losses


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_parts_have_the_gradients_of_the_whole_in_float64(name: str, parts: int) -> None:
    whole, whole_losses = gradients(CONFIGS[name], 1)
    split, split_losses = gradients(CONFIGS[name], parts)
    assert whole.keys() == split.keys()
    assert whole_losses.keys() == split_losses.keys()
    for one, two in ((whole, split), (whole_losses, split_losses)):
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=0, atol=1e-12)


def test_recomputing_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, batch norm and bfloat16: the recomputation equals the first pass."""
    for precision in ("float32", "bfloat16"):
        seen = []
        for recompute in (True, False):
            if not recompute:
                monkeypatch.setattr(step, "recomputing", lambda networks: recomputing([]))
            method = build(Pix2PixConfig(**SMALL, depth=2), input_channels=3, output_channels=3, image_size=(16, 16))
            torch.manual_seed(1)
            for parameter in method.parameters():
                nn.init.normal_(parameter, 0, 0.1)
            settings = TrainingConfig(batch_size=4, accumulate=2, precision=precision)
            optimizers = make_optimizers(method.train(), settings)
            for index in range(2):
                a, b = torch.rand(2, 4, 3, 16, 16) * 2 - 1
                take_turns(method, optimizers, Batch(a, b), Progress(index, index), settings=settings, processes=ALONE)
            seen.append(method.state_dict())
            monkeypatch.undo()
        assert [key for key in seen[0] if not torch.equal(seen[0][key], seen[1][key])] == []


class Counting(nn.Conv2d):
    """Generator that counts its forward passes."""

    passes = 0

    def forward(self, images: Tensor) -> Tensor:
        type(self).passes += 1
        return super().forward(images)


@pytest.mark.parametrize(("config", "passes"), [("unet", 8), ("l1 alone", 5), ("no parts", 4)])
def test_only_what_outlives_its_turn_is_made_twice(config: str, passes: int) -> None:
    """Four parts: if D comes first, all four are computed twice, else only the first, of which nothing is known yet."""
    method = make(CONFIGS["l1 alone" if config == "l1 alone" else "unet"])
    parts = 1 if config == "no parts" else 4
    Counting.passes = 0
    method.generator = Counting(3, 3, 1).double()
    settings = TrainingConfig(batch_size=4, accumulate=parts)
    a, b = torch.rand(2, 4, 3, 16, 16, dtype=torch.float64)
    batches = [Batch(a, b)] if parts == 4 else [Batch(a, b)] * 4
    optimizers = make_optimizers(method, settings)
    for batch in batches:
        take_turns(method, optimizers, batch, Progress(0, 0), settings=settings, processes=ALONE)
    assert Counting.passes == passes
    assert "forward" not in vars(method.generator)


def test_lines_after_the_last_turn_run_for_every_part() -> None:
    class Ending(Method):
        generators = ("maker",)

        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.players = {"maker": ("maker",)}
            self.maker, self.ended = nn.Linear(2, 2), 0

        def training_step(self, batch: Batch, progress: Progress) -> Iterator[Any]:
            yield step.Turn("maker", {"loss": self.maker(batch.a).square().mean()})
            self.ended += 1

        translate = size_multiple = context = None

    method, settings = Ending(), TrainingConfig(batch_size=4, accumulate=2)
    batch = Batch(torch.ones(4, 2), torch.ones(4, 2))
    losses = take_turns(
        method, make_optimizers(method, settings), batch, Progress(0, 0), settings=settings, processes=ALONE
    )
    assert method.ended == 2
    assert losses["maker/loss"].ndim == 0


MEMORY = """
import torch
from ganvas.methods.base import Batch, Progress
from ganvas.methods import {kind}
from ganvas.methods.base import build
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.step import make_optimizers, take_turns
torch.set_num_threads(1)
settings = TrainingConfig(batch_size=8, accumulate={parts})
method = build({config!r}, input_channels=3, output_channels=3, image_size=(64, 64))
optimizers = make_optimizers(method, settings)
a, b = torch.rand(2, 8, 3, 64, 64)
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # ru_maxrss begins with the parent's
before = peak()
take_turns(method, optimizers, Batch(a, b), Progress(0, 0), settings=settings, processes=Processes(torch.device("cpu")))
print(peak() - before)
"""
WIDE = {"width": 16, "discriminator_width": 8, "receptive_field": 16, "residual_blocks": 2}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted otherwise")
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(Pix2PixConfig(**WIDE, generator="resnet", norm="instance", dropout=0.0), id="pix2pix"),
        pytest.param(CycleGANConfig(**WIDE, pool_size=0), id="cyclegan"),
    ],
)
def test_parts_need_less_memory(config: Any) -> None:
    """Peak memory of a separate process, above that before its first step."""
    peaks = []
    for parts in (1, 8):
        script = MEMORY.format(kind=type(config).__name__, config=config, parts=parts)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 0.7 * peaks[0], peaks


def test_a_batch_that_cannot_be_parted_says_so() -> None:
    with pytest.raises(ConfigError, match="accumulate 3 must be a divisor of batch_size 4"):
        TrainingConfig(batch_size=4, accumulate=3)
    with pytest.raises(ConfigError, match="accumulate 0 must"):
        TrainingConfig(accumulate=0)


def test_batch_norm_over_parts_is_warned_of() -> None:
    batch_norm = nn.Sequential(nn.BatchNorm2d(2))
    with pytest.warns(UserWarning, match=r"over each part of the batch, so several parts do not equal one"):
        warn_of_batch_norm(batch_norm, ALONE, batch_size=4, accumulate=2)
    warn_of_batch_norm(batch_norm, ALONE, batch_size=4, accumulate=4)


class PowerCutError(Exception):
    """Simulated crash."""


@pytest.mark.slow
@pytest.mark.usefixtures("any_bfloat16")
@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 2},
        {"precision": "bfloat16", "batch_size": 1, "method": {"generator": "resnet", "residual_blocks": 1}},
        {"precision": "bfloat16", "accumulate": 2},
    ],
    ids=["accumulate", "bfloat16 channels last", "both"],
)
def test_a_crashed_run_of_every_kind_resumes_to_the_bit(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    config = tiny_config(epochs=2, **changes)
    train(config, tmp_path / "whole", quiet=True)
    play, steps = loop.take_turns, iter(range(1000))

    def crashing(*given: Any, **named: Any) -> Any:
        if next(steps) * config.training.batch_size == 10:  # three or more images after the checkpoint
            raise PowerCutError
        return play(*given, **named)

    monkeypatch.setattr(loop, "take_turns", crashing)
    with pytest.raises(PowerCutError):
        train(config, tmp_path / "stopped", quiet=True)
    monkeypatch.setattr(loop, "take_turns", play)
    assert (tmp_path / "stopped" / "state.safetensors").exists()
    train(config, tmp_path / "stopped", resume=True, quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_out_of_memory_can_go_on_in_parts(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=2, method={"norm": "none", "dropout": 0.0})
    train(config, tmp_path / "run", quiet=True)
    longer = replace(config, training=replace(config.training, epochs=4.0, accumulate=2))
    assert train(longer, tmp_path / "run", resume=True, quiet=True).images_seen == 28
