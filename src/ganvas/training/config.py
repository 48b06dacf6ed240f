"""Config of a training run; imports no torch, because the command line reads it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from ganvas.data.config import DataConfig, PairedData
from ganvas.errors import ConfigError, DataError, RunError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import check_threads
from ganvas.methods import MethodConfig, Pix2PixConfig
from ganvas.serialization import to_record

Decay = Literal["linear", "tenth"]
Part = TypeVar("Part", bound="DataConfig | TrainingConfig")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the trainer. Progress counts images seen, so batch size and process count never change a schedule."""

    epochs: float = 200.0
    """Number of passes over the training pictures."""
    batch_size: int = 1
    """Number of pictures per step, over all processes together."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Optimizer of every player."""
    learning_rate: float = 2e-4
    """Learning rate (Isola et al., Sec. 3.3)."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay rates of Adam's moments (Isola et al., Sec. 3.3)."""
    weight_decay: float = 0.0
    """Weight decay, added to the gradient as an L2 penalty; DiscoGAN and CoGAN use one."""
    constant_fraction: float = 1.0
    """Share of the run at the full learning rate; then `decay`. 1: constant, as in the pix2pix paper; 0.5: as in its
    PyTorch code."""
    decay: Decay = "linear"
    """Learning rate after `constant_fraction`: linear decay to 0, or a tenth (SRGAN)."""
    precision: PrecisionChoice = "float32"
    """Precision of the forward passes; weights stay float32. bfloat16 takes half the time on processors and GPUs with
    such instructions and is an error elsewhere; auto is bfloat16 where that is fast, else float32."""
    ema_half_life: float = 0.0
    """Half-life, in images, of an exponential moving average of the generators, which is used for all outputs; 0:
    off."""
    minutes: float | None = None
    """Time limit of training in minutes; training ends earlier if the epochs are done."""
    checkpoint_every: int = 2000
    """Number of images between checkpoints."""
    checkpoint_minutes: float = 10.0
    """Largest number of minutes between checkpoints, for slow machines."""
    validate_every: int = 2000
    """Number of images between validations, if there is a validation split."""
    validation_pictures: int = 100
    """Largest number of pictures in a validation, evenly spread over the split."""
    sample_every: int = 2000
    """Number of images between preview grids."""
    log_every: int = 50
    """Number of images between rows of metrics.jsonl."""
    tensorboard: bool = False
    """Write TensorBoard events in addition to metrics.jsonl: losses, metrics, learning rate, preview grids."""
    accumulate: int = 1
    """Number of micro-batches for gradient accumulation: less memory, the same gradient."""
    compile: bool = False
    """Compile the networks with torch.compile, for runs of an hour or more on a GPU; no gain on a CPU."""
    capture: bool = False
    """Capture the training step as a CUDA graph and replay it, for small batches, whose speed kernel launches limit."""
    start_from: Path | None = None
    """Run with the same generators, from which the initial weights are copied: SRGAN's SRResNet, or a run to
    fine-tune."""
    seed: int = 0
    """Seed of weights, order, crops and noise."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: the fastest number, measured during training."""

    def __post_init__(self) -> None:
        if self.start_from is not None:
            object.__setattr__(self, "start_from", Path(self.start_from))
        intervals = ("checkpoint_every", "checkpoint_minutes", "validate_every", "sample_every", "log_every")
        for name in ("epochs", "batch_size", "learning_rate", "validation_pictures", *intervals):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")
        if self.accumulate < 1 or self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate {self.accumulate} must be a divisor of batch_size {self.batch_size}")
        if self.capture and self.accumulate > 1:
            raise ConfigError(
                "capture and accumulate exclude each other: capture is for small batches, accumulate for large ones"
            )
        if not 0 <= self.constant_fraction <= 1:
            raise ConfigError(f"constant_fraction {self.constant_fraction} must lie in [0, 1]")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas {self.betas} must lie in [0, 1)")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay {self.weight_decay} must not be negative")
        if self.ema_half_life < 0:
            raise ConfigError(f"ema_half_life {self.ema_half_life} must not be negative")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"minutes {self.minutes} must be positive")
        check_threads(self.threads)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Config of a run: method, data and training."""

    method: MethodConfig = field(default_factory=Pix2PixConfig)
    data: DataConfig = field(default_factory=PairedData)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for part in (self.method, self.data, self.training):
            for name, value in vars(part).items():
                numbers = value if isinstance(value, tuple) else (value,)
                if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
                    raise ConfigError(f"{name} {value} must be a finite number")
        own, requested = getattr(self.method, "scale", 1), self.data.scale
        if own != requested:
            raise ConfigError(self._other_scale(own, requested))
        single = self.data.layout in ("auto", "single") and self.data.degrade != "none"
        if self.num_frames > 1 and not (single and self.data.direction == "a_to_b"):
            raise ConfigError(
                f"frames {self.num_frames} needs films with degraded inputs in direction a_to_b: use --layout single "
                "and --degrade"
            )
        if not self.data.aligned and getattr(self.method, "paired", True):
            name = type(self.method).__name__.removesuffix("Config")
            raise ConfigError(f"{name} needs pairs: use PairedData, or another method, such as CycleGANConfig")

    def _other_scale(self, own: int, requested: int) -> str:
        """Return the message for data of another scale than the method's, with what would fit."""
        remedies = [f"--scale {requested}"] if hasattr(self.method, "scale") else []
        if self.data.degrade == "second_order":
            remedies.append(f"--strength {own} {own}")
        elif own > 1:
            remedies.append(f"--layout single --degrade reduce --strength {own} {own}")
        else:
            remedies.append("another --degrade, which keeps the size")
        return f"the method has scale {own}, the data have scale {requested}: use {', or '.join(remedies)}"

    @property
    def num_frames(self) -> int:
        """Return the number of neighboring frames in the input of the method."""
        return getattr(self.method, "frames", 1)

    def with_absolute_paths(self) -> RunConfig:
        """Return the config with absolute paths of data and training, for any working directory."""
        return replace(self, data=_with_absolute_paths(self.data), training=_with_absolute_paths(self.training))


def _with_absolute_paths(part: Part) -> Part:
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    paths: dict[str, Any] = {name: value.absolute() for name, value in values.items() if isinstance(value, Path)}
    return replace(part, **paths)


CHANGEABLE = {
    "data.folder", "data.split_file", "training.epochs", "training.minutes", "training.checkpoint_every",
    "training.checkpoint_minutes", "training.validate_every", "training.validation_pictures", "training.sample_every",
    "training.log_every", "training.device", "training.threads", "training.tensorboard", "training.learning_rate",
    "training.precision", "training.accumulate", "training.compile", "training.capture",
}  # fmt: skip
"""Settings that may change on resuming: length, intervals, device, speed, and remedies after a divergence."""


def check_same_settings(before: RunConfig, now: RunConfig, run: Path) -> None:
    """Check that a run is resumed with its own settings, apart from those of `CHANGEABLE`.

    Raises:
        RunError: names each difference.
    """
    old, new = _flat_settings(before), _flat_settings(now)
    changed = [name for name in {**old, **new} if name not in CHANGEABLE and old.get(name) != new.get(name)]
    if changed:
        listed = "; ".join(f"{name} was {old.get(name)}, now {new.get(name)}" for name in changed)
        raise RunError(f"{run} cannot be resumed with other settings: {listed}. Keep them, or use another folder")


def _flat_settings(config: RunConfig) -> dict[str, Any]:
    """Return `<part>.<field>` -> value."""
    parts = to_record(config.with_absolute_paths())
    return {f"{part}.{name}": value for part in ("method", "data", "training") for name, value in parts[part].items()}


def require_data(config: RunConfig, run: Path) -> None:
    """Check that the data of a run that is resumed are where its record says.

    Raises:
        DataError: the folder or the split file is missing; the message gives the remedy.
    """
    split_file = getattr(config.data, "split_file", None)
    for path, flag in ((config.data.folder, "--data DIR"), (split_file, "--split-file FILE")):
        if path is not None and not path.exists():
            raise DataError(f"{path}: no such file or folder; if it was moved: ganvas resume {run} {flag}")


@dataclass(frozen=True)
class ResumeConfig:
    """Resumption of an interrupted run, optionally with other settings."""

    run: Path
    """Run folder."""
    _: KW_ONLY
    epochs: float | None = None
    """New total number of epochs."""
    minutes: float | None = None
    """New total training time."""
    learning_rate: float | None = None
    """New learning rate; use a lower one if losses became NaN."""
    precision: PrecisionChoice | None = None
    """New precision of the forward passes; auto is bfloat16 where that is fast."""
    device: str | None = None
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: as before, or the fastest number."""
    data: Path | None = None
    """New folder of the training data, if it was moved."""
    split_file: Path | None = None
    """New path of the split file, if it was moved."""

    def applied_to(self, before: RunConfig) -> RunConfig:
        """Return the config of the run with these settings applied.

        Raises:
            ConfigError: a split file is passed for a run without one.
        """
        names = ("epochs", "minutes", "learning_rate", "precision", "device", "threads")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        data = before.data if self.data is None else replace(before.data, folder=self.data)
        if self.split_file is not None:
            if not isinstance(data, PairedData) or data.split_file is None:
                raise ConfigError(f"{self.run} was trained without a split file: omit --split-file")
            data = replace(data, split_file=self.split_file)
        return replace(before, training=replace(before.training, **changes), data=data)


def idle_training_settings(training: TrainingConfig) -> dict[str, str]:
    """Return setting -> the choice that makes it have no effect."""
    found: dict[str, str] = {}
    if training.optimizer != "adam":
        found["betas"] = f"optimizer {training.optimizer}"
    if training.constant_fraction == 1:
        found["decay"] = "constant_fraction 1"
    return found
