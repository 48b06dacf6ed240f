"""Diagnosis of the machine and the installation: processor, extras, weights and cache."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch

from ganvas.diagnosis import DoctorConfig
from ganvas.diagnosis.measurement import Speed, measure_speed
from ganvas.errors import WeightsError, install_command
from ganvas.filesystem.paths import cache_folder
from ganvas.hardware import Precision
from ganvas.hardware.precision import bfloat16_obstacle
from ganvas.hardware.threads import core_count, memory_bytes, processor_name
from ganvas.inference.device import pick_device
from ganvas.training.report import duration
from ganvas.weights.find import find_weights
from ganvas.weights.known import KNOWN, Weights

FOR_USERS = ("demo", "tensorboard", "ray", "figures", "video")
"""Extras that a verb needs; `dev` is for work on ganvas itself."""
PICTURES = 1000
"""Number of training pictures in the estimates of a recipe's duration."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An optional part of ganvas."""

    name: str
    """As in the metadata of the package."""
    installed: dict[str, str]
    """Package -> version."""
    missing: tuple[str, ...]
    """Packages that are not installed."""

    @property
    def command(self) -> str:
        """Return the command that installs it."""
        return install_command(self.name)


@dataclass(frozen=True, kw_only=True)
class FoundWeights:
    """Pretrained weights, and whether they are on this machine."""

    name: str
    title: str
    where: str | None
    """The package, folder or cache in which they were found and verified; None where they are not on this machine."""
    remedy: str
    """How to get them; empty where they are there. A damaged file is named."""


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


def list_weights() -> list[FoundWeights]:
    """Return the pretrained weights that ganvas can use; nothing is fetched."""
    return [_look_for(weights) for weights in KNOWN.values()]


def _look_for(weights: Weights) -> FoundWeights:
    try:
        where, remedy = find_weights(weights, may_download=False, progress=False).where, ""
    except WeightsError as error:
        is_damaged = "expected" in str(error).splitlines()[0]
        where, remedy = None, str(error).splitlines()[0] if is_damaged else _remedy(weights)
    return FoundWeights(name=weights.name, title=weights.title, where=where, remedy=remedy)


def _remedy(weights: Weights) -> str:
    installs = [file.package.install for file in weights.files if file.package]
    sizes = [file.fetched_bytes for file in weights.files if file.origin]
    fetched = [f"downloaded when first needed ({min(sizes) / 1e6:,.0f} MB)"] if sizes else []
    return " or ".join([*installs, *fetched]) or "give their path"


def list_cache() -> tuple[Path, dict[str, int]]:
    """Return the cache folder, and the bytes of each entry in it."""
    folder = cache_folder()
    return folder, {entry.name: _size(entry) for entry in sorted(folder.iterdir())}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What a machine is and can, and what is installed on it; printed, it is a page of text."""

    processor: str
    cores: int
    """Logical cores that this process may use."""
    memory_bytes: int | None
    """None where the system does not tell it."""
    device: str
    """Where networks compute: cpu, cuda or mps."""
    gpu: str | None
    ganvas: str
    python: str
    torch: str
    capability: str
    """Vector instructions that PyTorch uses, such as AVX2 or AVX512."""
    bfloat16_obstacle: str | None
    """Why bfloat16 is not fast; None where it is."""
    extras: tuple[Extra, ...]
    weights: tuple[FoundWeights, ...]
    cache: Path
    cache_bytes: dict[str, int]
    """Entry of the cache folder -> bytes."""
    speed: Speed

    def __str__(self) -> str:
        parts = [self._machine(), self._speed(), self._installation()]
        return "\n\n".join("\n".join(lines) for lines in parts)

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
            told = ", ".join(f"{rate:.3g} with {count}" for count, rate in self.speed.by_threads.items())
            lines.append(f"  threads     images/s of that step in float32: {told}")
        lines.append(f"  A whole recipe on {PICTURES:,} pictures, by these figures, with its default settings:")
        for estimate in self.speed.recipes:
            rate, whole = f"{estimate.images_per_second:.2g} images/s", duration(3600 * estimate.hours(PICTURES))
            lines.append(f"    {estimate.recipe:<10} {rate:<16} {whole}")
        lines.append("  Smaller: --crop-size 128 128 --load-size 143 143, --width 32, fewer --epochs, or --minutes M")
        return lines

    def _installation(self) -> list[str]:
        lines = ["Extras"]
        for extra in self.extras:
            found = ", ".join(f"{package} {number}" for package, number in extra.installed.items())
            told = f"missing {', '.join(extra.missing)}: {extra.command}" if extra.missing else found
            lines.append(f"  {extra.name:<12} {told}")
        lines += ["", "Pretrained weights"]
        for weights in self.weights:
            told = f"in {weights.where}" if weights.where else f"not here: {weights.remedy}"
            lines.append(f"  {weights.name:<20} {told}")
        total = sum(self.cache_bytes.values())
        lines += ["", f"Cache  {self.cache} ({total / 1e6:,.1f} MB)"]
        lines += [f"  {name:<20} {size / 1e6:,.1f} MB" for name, size in self.cache_bytes.items()]
        return lines


def diagnose(config: DoctorConfig) -> Diagnosis:
    """Look at the machine and the installation, and measure for about `config.seconds`; nothing is fetched.

    Args:
        config: device and measuring time.

    Raises:
        ConfigError: no such device.
    """
    where = pick_device(config.device)
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
