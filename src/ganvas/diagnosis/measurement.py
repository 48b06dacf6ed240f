"""Speed of a machine: the peak of matrix products and a small training step, and what recipes take from that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import backward
from torch.utils.flop_counter import FlopCounterMode

from ganvas.data.loader import Batch
from ganvas.hardware import Precision
from ganvas.hardware.threads import computing_with, given_threads, thread_counts
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Method, Progress
from ganvas.methods.registry import build
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.performance import place
from ganvas.training.step import make_optimizers, take_turns

__all__ = ["RecipeEstimate", "Speed", "StepSpeed", "measure_speed"]

SIDES = (256, 512, 1024)
"""Of square matrices, of which the fastest product is the peak."""
SMALL_SIDE, SMALL_WIDTH = 128, 32
"""Of the pix2pix whose step is measured: seconds, where the recipe's own would take minutes."""
PEAK_SHARE = 0.2
"""Of the time to measure in, for each precision's matrix products; the rest is for training steps."""
MAIN_RECIPES = ("pix2pix", "restore", "cyclegan", "cut", "srresnet")


@dataclass(frozen=True, kw_only=True)
class StepSpeed:
    """A measured training step of pix2pix, width 32, one picture of 128 x 128."""

    precision: Precision
    images_per_second: float
    operations_per_second: float
    """Of its convolutions and matrix products, forward and backward."""


@dataclass(frozen=True, kw_only=True)
class RecipeEstimate:
    """What a recipe's training takes, if it reaches the operations a second of the measured step."""

    recipe: str
    crop_size: tuple[int, int]
    images_per_second: float
    epochs: float

    def hours(self, pictures: int) -> float:
        """Return the hours of the whole recipe on so many training pictures."""
        return self.epochs * pictures / self.images_per_second / 3600


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a machine computes."""

    threads: int
    """CPU threads that are fastest now, beside what else runs."""
    by_threads: dict[int, float]
    """Number of CPU threads -> images a second of the small step in float32; empty where a user or a GPU decides."""
    peaks: dict[Precision, float]
    """Precision -> operations a second of matrix products; only precisions that are fast."""
    steps: dict[Precision, StepSpeed]
    """Precision -> the small training step."""
    recipes: tuple[RecipeEstimate, ...]
    """The main recipes in the fastest precision, estimated from the measured step."""


def measure_speed(precisions: Sequence[Precision], device: torch.device, *, seconds: float) -> Speed:
    """Measure for about that long in all; the caller's random numbers are left as they were."""
    counts = thread_counts(torch.get_num_threads()) if device.type == "cpu" and not given_threads() else ()
    each = seconds / (len(precisions) + len(counts))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        by_threads = {count: _rate(device, count, each) for count in counts}
        threads = max(by_threads, key=lambda count: by_threads[count], default=torch.get_num_threads())
        with computing_with(threads):
            peaks = {name: matrix_peak(name, device, seconds=PEAK_SHARE * each) for name in precisions}
            steps = {name: measure_step(name, device, seconds=(1 - PEAK_SHARE) * each) for name in precisions}
        recipes = tuple(estimate_recipes(max(step.operations_per_second for step in steps.values())))
    return Speed(threads=threads, by_threads=by_threads, peaks=peaks, steps=steps, recipes=recipes)


def _rate(device: torch.device, threads: int, seconds: float) -> float:
    with computing_with(threads):
        return measure_step("float32", device, seconds=seconds).images_per_second


def matrix_peak(precision: Precision, device: torch.device, *, seconds: float) -> float:
    """Return the operations a second of the fastest product of two square matrices, tried for that long in all."""
    dtype, best = getattr(torch, precision), 0.0
    for side in SIDES:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        taken = _seconds_of(partial(torch.mm, a, b), device, seconds / len(SIDES))
        best = max(best, 2 * side**3 / min(taken))
    return best


def measure_step(precision: Precision, device: torch.device, *, seconds: float) -> StepSpeed:
    """Measure a training step for about that long."""
    settings = TrainingConfig(precision=precision)
    side = (SMALL_SIDE, SMALL_SIDE)
    small = Pix2PixConfig(width=SMALL_WIDTH, discriminator_width=SMALL_WIDTH)
    method: Method = build(small, input_channels=3, output_channels=3, image_size=side)
    place(method, device, settings)
    optimizers, processes = make_optimizers(method, settings), Processes(device)
    batch = Batch(*(torch.rand(1, 3, *side, device=device) * 2 - 1 for _ in range(2)))

    def step() -> None:
        take_turns(method, optimizers, batch, Progress(0, 0), settings=settings, processes=processes)

    with FlopCounterMode(display=False) as counter:
        step()
    pace = median(_seconds_of(step, device, seconds))
    operations = float(counter.get_total_flops())
    return StepSpeed(precision=precision, images_per_second=1 / pace, operations_per_second=operations / pace)


def estimate_recipes(operations_per_second: float) -> list[RecipeEstimate]:
    """Return what the main recipes take with their default settings on a machine of that speed."""
    made = []
    for name in MAIN_RECIPES:
        config = RECIPES[name]()
        rate = operations_per_second / operations_of(config)
        epochs = config.training.epochs
        made.append(RecipeEstimate(recipe=name, crop_size=config.data.crop_size, images_per_second=rate, epochs=epochs))
    return made


def operations_of(config: RunConfig) -> int:
    """Return the operations of a training step on one picture, counted without computing anything."""
    height, width = config.data.crop_size
    scale = getattr(config.data, "scale", 1)
    with FakeTensorMode():
        method: Method = build(config.method, input_channels=3, output_channels=3, image_size=config.data.crop_size)
        batch = Batch(torch.empty(1, 3, height // scale, width // scale), torch.empty(1, 3, height, width))
        with FlopCounterMode(display=False) as counter:
            for turn in method.train().training_step(batch, Progress(0, 0)):
                backward(list(turn.losses.values()), inputs=method.player_parameters(turn.player))
    return int(counter.get_total_flops())


def _seconds_of(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Time each call after one warm-up call, for that long and at least three calls."""
    work()
    taken, begun = list[float](), time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - begun < seconds:
        _finish(device)
        start = time.perf_counter()
        work()
        _finish(device)
        taken.append(time.perf_counter() - start)
    return taken


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
