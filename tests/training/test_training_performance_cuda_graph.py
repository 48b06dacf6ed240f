"""CUDA-graph capture of a training step: a replay equals the step. A fake recorder tests what needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_runs import MakeConfig

from ganvas.errors import ConfigError
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.methods.base import Batch, Method, Progress, build, methods
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.loop import train
from ganvas.training.monitoring import LossMeter
from ganvas.training.performance import CapturedStep, check_capture, place
from ganvas.training.state import Average, TrainingState
from ganvas.training.step import make_optimizers, set_rate, take_turns

SMALL: dict[str, Any] = {"width": 4, "discriminator_width": 4, "receptive_field": 16}
CONFIGS = [Pix2PixConfig(**SMALL, depth=2), CycleGANConfig(**SMALL, residual_blocks=1, pool_size=2)]
STEPS = 5


class Run:
    """Run a few steps of a method, captured or not, and keep moments, losses and noise."""

    def __init__(self, config: Any, *, device: str = "cpu", capture: bool, **training: Any) -> None:
        self.settings = TrainingConfig(capture=capture and device == "cuda", **training)
        self.processes = Processes(torch.device(device))
        torch.manual_seed(0)
        method = build(config, input_channels=3, output_channels=3, image_size=(16, 16))
        place(method, self.processes.device, self.settings)
        self.state = TrainingState(
            method, make_optimizers(method, self.settings), Average(method, 8.0), LossMeter(self.processes)
        )
        self.step: Any = self.eager
        if capture:
            again = None if device == "cuda" else lambda work: work
            self.step = CapturedStep(self.eager, self.state.tensors, clear=method.zero_grad, record=again)

    def eager(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        method, optimizers = self.state.method, self.state.optimizers
        return take_turns(method, optimizers, batch, progress, settings=self.settings, processes=self.processes)

    def steps(self, first: int = 0, last: int = STEPS) -> dict[str, Tensor]:
        for step in range(first, last):
            pictures = torch.Generator().manual_seed(step)
            a, b = (torch.rand(2, 1, 3, 16, 16, generator=pictures) * 2 - 1).to(self.processes.device)
            torch.manual_seed(step)
            set_rate(self.state.optimizers, 2e-4 / (1 + step))
            self.state.meter.add(self.step(Batch(a, b), Progress(step, step)))
            self.state.average.update(images=1, images_seen=step + 1)
        return {name: value.cpu().clone() for name, value in self.state.tensors().items()}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("config", CONFIGS, ids=["pix2pix", "cyclegan"])
def test_a_recorded_run_is_an_ordinary_one(config: Any, optimizer: str) -> None:
    """The warm-up before the capture changes nothing, and each replay uses its own batch, learning rate and noise."""
    plain = Run(config, capture=False, optimizer=optimizer).steps()
    recorded = Run(config, capture=True, optimizer=optimizer).steps()
    assert plain.keys() == recorded.keys()
    assert [name for name in plain if not torch.equal(plain[name], recorded[name])] == []


def test_recording_in_the_middle_of_a_run_leaves_its_state() -> None:
    """As after a resumption."""
    whole = Run(CONFIGS[1], capture=False).steps()
    run = Run(CONFIGS[1], capture=False)
    run.steps(last=2)
    run.step = CapturedStep(run.eager, run.state.tensors, clear=run.state.method.zero_grad, record=lambda work: work)
    parted = run.steps(first=2)
    assert [name for name in whole if not torch.equal(whole[name], parted[name])] == []


def test_a_batch_of_another_shape_is_our_mistake() -> None:
    run = Run(CONFIGS[0], capture=True)
    run.steps(last=1)
    with pytest.raises(AssertionError, match="the same shape"):
        run.step(Batch(torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 16, 16)), Progress(1, 1))


def test_capture_says_where_it_works(tiny_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="capture needs a CUDA GPU, not 'cpu'; omit it"):
        train(tiny_config(capture=True), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    gpu = torch.device("cuda")
    pix2pix = methods()["Pix2PixConfig"]
    check_capture(pix2pix, Processes(gpu))
    with pytest.raises(ConfigError, match="one process; omit it under torchrun"):
        check_capture(pix2pix, Processes(gpu, 0, 2))
    with pytest.raises(ConfigError, match="Method are not identical"):
        check_capture(Method, Processes(gpu))
    with pytest.raises(ConfigError, match="exclude each other"):
        TrainingConfig(batch_size=4, accumulate=2, capture=True)


@pytest.mark.parametrize("config", CONFIGS, ids=["pix2pix", "cyclegan"])
def test_a_step_of_a_capturable_method_ignores_the_progress(config: Any) -> None:
    assert methods()[type(config).__name__].capturable
    runs = [Run(config, capture=False) for _ in range(2)]
    pictures = torch.rand(2, 1, 3, 16, 16)
    losses = []
    for run, progress in zip(runs, (Progress(0, 0), Progress(10**6, 10**5)), strict=True):
        torch.manual_seed(3)
        losses.append(run.eager(Batch(*pictures), progress))
    assert {name: value.item() for name, value in losses[0].items()} == {k: v.item() for k, v in losses[1].items()}


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", CONFIGS, ids=["pix2pix", "cyclegan"])
def test_a_cuda_graph_does_what_the_eager_steps_do(config: Any, precision: str) -> None:
    """Including noise, but not bitwise, since kernels may add in another order."""
    plain = Run(config, device="cuda", capture=False, precision=precision).steps()
    recorded = Run(config, device="cuda", capture=True, precision=precision).steps()
    assert plain.keys() == recorded.keys()
    for name, value in plain.items():
        torch.testing.assert_close(recorded[name].float(), value.float(), rtol=1e-2, atol=2e-3)


@pytest.mark.gpu
def test_the_loop_never_waits_for_the_gpu() -> None:
    run = Run(CONFIGS[1], device="cuda", capture=False, precision="bfloat16")
    run.steps(last=2)
    a, b = torch.rand(2, 1, 3, 16, 16, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            torch.manual_seed(step)
            set_rate(run.state.optimizers, 1e-4)
            run.state.meter.add(run.step(Batch(a, b), Progress(step, step)))
            run.state.average.update(images=1, images_seen=step + 3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [True, False])
def test_a_gpu_run_resumes(tiny_config: MakeConfig, tmp_path: Path, capture: bool) -> None:
    config = {"device": "cuda", "precision": "bfloat16", "capture": capture, "constant_fraction": 1.0}
    train(tiny_config(epochs=2, **config), tmp_path / "run", quiet=True)
    result = train(tiny_config(epochs=4, **config), tmp_path / "run", resume=True, quiet=True)
    assert result.images_seen == 28
