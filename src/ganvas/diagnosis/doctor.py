"""Diagnosis of the machine and the installation: processor, extras, weights and cache, and the speed of training."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from statistics import median

import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import backward
from torch.utils.flop_counter import FlopCounterMode

from ganvas.data.loader import Batch
from ganvas.diagnosis import DoctorConfig
from ganvas.errors import install_command
from ganvas.filesystem.paths import cache_folder
from ganvas.hardware import Precision
from ganvas.hardware.device import bfloat16_obstacle, choose_device
from ganvas.hardware.threads import (
    computing_with,
    core_count,
    given_threads,
    memory_bytes,
    processor_name,
    thread_counts,
)
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Method, Progress, build
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.performance import place
from ganvas.training.report import duration
from ganvas.training.step import make_optimizers, take_turns
from ganvas.weights.find import FoundWeights, list_weights

SIDES = (256, 512, 1024)
"""Sides of square matrices; the fastest product is the peak."""
SMALL_SIDE, SMALL_WIDTH = 128, 32
"""Picture side and width of the measured pix2pix, which takes seconds instead of minutes."""
PEAK_SHARE = 0.2
"""Share of the measuring time for matrix products; the rest is for training steps."""
MAIN_RECIPES = ("pix2pix", "restore", "cyclegan", "cut", "srresnet")


@dataclass(frozen=True, kw_only=True)
class StepSpeed:
    """A measured training step of pix2pix, width 32, one picture of 128 x 128."""

    precision: Precision
    images_per_second: float
    operations_per_second: float
    """Floating-point operations per second of its convolutions and matrix products, forward and backward."""


@dataclass(frozen=True, kw_only=True)
class RecipeEstimate:
    """Estimated duration of a recipe's training at the operations per second of the measured step."""

    recipe: str
    crop_size: tuple[int, int]
    images_per_second: float
    epochs: float

    def hours(self, pictures: int) -> float:
        """Return the hours of the whole recipe on `pictures` training pictures."""
        return self.epochs * pictures / self.images_per_second / 3600


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Measured speed of a machine."""

    threads: int
    """Fastest number of CPU threads, given the current load."""
    by_threads: dict[int, float]
    """Number of CPU threads -> images per second of the small step in float32; empty on a GPU or for a set number."""
    peaks: dict[Precision, float]
    """Precision -> operations per second of matrix products; fast precisions only."""
    steps: dict[Precision, StepSpeed]
    """Precision -> the small training step."""
    recipes: tuple[RecipeEstimate, ...]
    """The main recipes in the fastest precision, estimated from the measured step."""


def measure_speed(precisions: Sequence[Precision], device: torch.device, *, seconds: float) -> Speed:
    """Measure for about `seconds` in total; the random generators' states are restored."""
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
    """Return the operations per second of the fastest product of square matrices, measured for `seconds` in total."""
    dtype, best = getattr(torch, precision), 0.0
    for side in SIDES:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        taken = _seconds_of(partial(torch.mm, a, b), device, seconds / len(SIDES))
        best = max(best, 2 * side**3 / min(taken))
    return best


def measure_step(precision: Precision, device: torch.device, *, seconds: float) -> StepSpeed:
    """Measure a training step for about `seconds`."""
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
    """Return the estimated durations of the main recipes with default settings on a machine of that speed."""
    made = []
    for name in MAIN_RECIPES:
        config = RECIPES[name]()
        rate = operations_per_second / operations_of(config)
        epochs = config.training.epochs
        made.append(RecipeEstimate(recipe=name, crop_size=config.data.crop_size, images_per_second=rate, epochs=epochs))
    return made


def operations_of(config: RunConfig) -> int:
    """Return the operations of a training step on one picture, counted on fake tensors."""
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
    """Time each call after a warm-up call, for `seconds` and at least three calls."""
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


FOR_USERS = ("demo", "tensorboard", "ray", "figures", "video", "export", "hub")
"""Extras for users; `dev` is for development of ganvas."""
PICTURES = 1000
"""Number of training pictures in the estimates of a recipe's duration."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An optional part of ganvas."""

    name: str
    """Name of the extra in the metadata of the package."""
    installed: dict[str, str]
    """Package -> version."""
    missing: tuple[str, ...]
    """Packages that are not installed."""

    @property
    def command(self) -> str:
        """Return the command that installs it."""
        return install_command(self.name)


def list_extras() -> list[Extra]:
    """Return the optional parts in the order of the documentation."""
    needed: dict[str, list[str]] = {name: [] for name in FOR_USERS}
    for requirement in requires("ganvas") or ():
        package, _, marker = requirement.partition(";")
        for name in FOR_USERS:
            if marker.replace('"', "'").strip() == f"extra == '{name}'":
                needed[name].append(_project(package))
    return [_extra(name, packages) for name, packages in needed.items()]


def _project(requirement: str) -> str:
    """Return the project's name in a requirement such as `ray[data]<2.64,>=2.60`."""
    end = next((index for index, sign in enumerate(requirement) if sign in "[<>=!~ "), len(requirement))
    return requirement[:end]


def _extra(name: str, packages: list[str]) -> Extra:
    installed, missing = {}, []
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    return Extra(name=name, installed=installed, missing=tuple(missing))


def list_cache() -> tuple[Path, dict[str, int]]:
    """Return the cache folder, and the bytes of each entry in it."""
    folder = cache_folder()
    return folder, {entry.name: _size(entry) for entry in sorted(folder.iterdir())}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Diagnosis of a machine and its installation; `str` gives a page of text."""

    processor: str
    cores: int
    """Logical cores that this process may use."""
    memory_bytes: int | None
    """Memory in bytes; None if the system does not report it."""
    device: str
    """Device of the networks: cpu, cuda or mps."""
    gpu: str | None
    ganvas: str
    python: str
    torch: str
    capability: str
    """Vector instructions that PyTorch uses, such as AVX2 or AVX512."""
    bfloat16_obstacle: str | None
    """Reason why bfloat16 is not fast; None if it is fast."""
    extras: tuple[Extra, ...]
    weights: tuple[FoundWeights, ...]
    cache: Path
    cache_bytes: dict[str, int]
    """Entry of the cache folder -> bytes."""
    speed: Speed

    def __str__(self) -> str:
        return "\n\n".join("\n".join(lines) for lines in (self._machine(), self._speed(), self._installation()))

    def _machine(self) -> list[str]:
        memory = "memory unknown" if self.memory_bytes is None else f"{self.memory_bytes / 2**30:.0f} GiB of memory"
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        lines = ["Machine", f"  processor   {self.processor}, {cores}, {memory}"]
        if self.gpu:
            lines.append(f"  GPU         {self.gpu}")
        lines += [
            f"  software    ganvas {self.ganvas}, Python {self.python}, PyTorch {self.torch} ({self.capability})",
            f"  computes on {self.device}, {self.speed.threads} CPU thread{'s' * (self.speed.threads > 1)}",
            "  float32     fast",
            f"  bfloat16    {'not fast: ' + self.bfloat16_obstacle if self.bfloat16_obstacle else 'fast'}",
        ]
        return lines

    def _speed(self) -> list[str]:
        lines = ["Speed"]
        for precision, step in self.speed.steps.items():
            peak = f"matrix products {self.speed.peaks[precision] / 1e12:.2g} TFLOP/s"
            pace = f"pix2pix of width 32 on 128 x 128: {step.images_per_second:.3g} images/s"
            lines.append(f"  {precision:<11} {peak}; {pace}")
        if len(self.speed.by_threads) > 1:
            rates = ", ".join(f"{rate:.3g} with {count}" for count, rate in self.speed.by_threads.items())
            lines.append(f"  threads     images/s of that step in float32: {rates}")
        lines.append(f"  A whole recipe on {PICTURES:,} pictures with default settings, estimated from these figures:")
        for estimate in self.speed.recipes:
            rate, whole = f"{estimate.images_per_second:.2g} images/s", duration(3600 * estimate.hours(PICTURES))
            lines.append(f"    {estimate.recipe:<10} {rate:<16} {whole}")
        lines.append("  Smaller: --crop-size 128 128 --load-size 143 143, --width 32, fewer --epochs, or --minutes M")
        return lines

    def _installation(self) -> list[str]:
        lines = ["Extras"]
        for extra in self.extras:
            found = ", ".join(f"{package} {number}" for package, number in extra.installed.items())
            state = f"missing {', '.join(extra.missing)}: {extra.command}" if extra.missing else found
            lines.append(f"  {extra.name:<12} {state}")
        lines += ["", "Pretrained weights"]
        for weights in self.weights:
            state = f"in {weights.where}" if weights.where else f"not found: {weights.remedy}"
            lines.append(f"  {weights.name:<20} {state}")
        total = sum(self.cache_bytes.values())
        lines += ["", f"Cache  {self.cache} ({total / 1e6:,.1f} MB)"]
        lines += [f"  {name:<20} {size / 1e6:,.1f} MB" for name, size in self.cache_bytes.items()]
        return lines


def diagnose(config: DoctorConfig) -> Diagnosis:
    """Inspect the machine and the installation, and measure for about `config.seconds`; nothing is downloaded.

    Args:
        config: device and measuring time.

    Raises:
        ConfigError: no such device.
    """
    where = choose_device(config.device)
    obstacle = bfloat16_obstacle(where)
    fast: tuple[Precision, ...] = ("float32",) if obstacle or where.type == "mps" else ("float32", "bfloat16")
    cache, cache_bytes = list_cache()
    return Diagnosis(
        processor=processor_name(),
        cores=core_count(),
        memory_bytes=memory_bytes(),
        device=str(where),
        gpu=torch.cuda.get_device_name(where) if where.type == "cuda" else None,
        ganvas=version("ganvas"),
        python=platform.python_version(),
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        bfloat16_obstacle=obstacle,
        extras=tuple(list_extras()),
        weights=tuple(list_weights()),
        cache=cache,
        cache_bytes=cache_bytes,
        speed=measure_speed(fast, where, seconds=config.seconds),
    )
