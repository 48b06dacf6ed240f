"""Config of a training run. No torch here: the command line reads it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ganvas.data.config import DataConfig, PairedData
from ganvas.errors import ConfigError, RunError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import check_threads
from ganvas.methods import MethodConfig, Pix2PixConfig
from ganvas.serialization import to_record

Decay = Literal["linear", "tenth"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the trainer. Progress counts images seen, so batch size and process count never change a schedule."""

    epochs: float = 200.0
    """Passes over the training pictures."""
    batch_size: int = 1
    """Pictures a step, over all processes together."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """The update rule of every player."""
    learning_rate: float = 2e-4
    """Isola et al., Sec. 3.3."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's moments (Isola et al., Sec. 3.3)."""
    weight_decay: float = 0.0
    """Pull of the weights towards 0, added to their gradient; DiscoGAN and CoGAN have one."""
    constant_fraction: float = 1.0
    """Share of the run at the full rate; then `decay`. 1: constant, as in pix2pix's paper; 0.5: the port."""
    decay: Decay = "linear"
    """What the rate does after `constant_fraction`: fall linearly to 0, or go on at a tenth (SRGAN)."""
    precision: PrecisionChoice = "float32"
    """Arithmetic of the forward passes; weights stay float32. bfloat16 takes half the time on processors and GPUs with
    such instructions and is an error elsewhere; auto is bfloat16 where that is fast, else float32."""
    ema_half_life: float = 0.0
    """Half-life, in images, of a moving average of the weights used for pictures; 0 is off."""
    minutes: float | None = None
    """Stop after so many minutes of training, if the epochs are not done before."""
    checkpoint_every: int = 2000
    """Images between checkpoints."""
    checkpoint_minutes: float = 10.0
    """A checkpoint at least this often, for slow machines."""
    validate_every: int = 2000
    """Images between validations, where there is a validation split."""
    validation_pictures: int = 100
    """Validate on at most so many pictures, evenly spread over the split."""
    sample_every: int = 2000
    """Images between sample grids."""
    log_every: int = 50
    """Images between lines of metrics.jsonl."""
    tensorboard: bool = False
    """Write TensorBoard events beside metrics.jsonl: losses, measures, the learning rate, sample grids."""
    accumulate: int = 1
    """Parts in which a batch goes through, one after another: less memory, the same gradient."""
    compile: bool = False
    """Compile the networks at the start, for runs of an hour and more on a GPU; of no use on a CPU."""
    capture: bool = False
    """On a CUDA GPU, record the whole step once and replay it: for small batches, which wait for launches."""
    start_from: Path | None = None
    """A run of the same generators, whose weights are the first ones: SRGAN's SRResNet, or a run to train further."""
    seed: int = 0
    """The one seed: weights, order, crops, noise."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """CPU threads to compute with; unset: as many as are fastest while other programs run."""

    def __post_init__(self) -> None:
        intervals = ("checkpoint_every", "checkpoint_minutes", "validate_every", "sample_every", "log_every")
        for name in ("epochs", "batch_size", "learning_rate", "validation_pictures", *intervals):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")
        if self.accumulate < 1 or self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate {self.accumulate} must be a divisor of batch_size {self.batch_size}")
        if self.capture and self.accumulate > 1:
            raise ConfigError("capture and accumulate exclude each other: one is for small batches, one for large")
        if not 0 <= self.constant_fraction <= 1:
            raise ConfigError(f"constant_fraction {self.constant_fraction} must lie in [0, 1]")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas {self.betas} must lie in [0, 1)")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay {self.weight_decay} must not be negative")
        if self.ema_half_life < 0 or (self.minutes is not None and self.minutes <= 0):
            raise ConfigError("ema_half_life must not be negative, minutes must be positive")
        check_threads(self.threads)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run: method, data, training."""

    method: MethodConfig = field(default_factory=Pix2PixConfig)
    data: DataConfig = field(default_factory=PairedData)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for part in (self.method, self.data, self.training):
            for name, value in vars(part).items():
                numbers = value if isinstance(value, tuple) else (value,)
                if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
                    raise ConfigError(f"{name} {value} must be a finite number")
        own, wanted = getattr(self.method, "scale", 1), self.data.scale
        if own != wanted:
            raise ConfigError(
                f"the method makes pictures {own} times as large as they come, the data asks for {wanted}: give "
                f"--scale {wanted}, or --layout single --degrade reduce --strength {own} {own}"
            )
        if not self.data.aligned and getattr(self.method, "paired", True):
            name = type(self.method).__name__.removesuffix("Config")
            raise ConfigError(f"{name} learns from pairs: give PairedData, or another method, such as CycleGANConfig")


CHANGEABLE = frozenset(
    {f"training.{name}" for name in ("epochs", "minutes", "checkpoint_every", "checkpoint_minutes", "validate_every")}
    | {
        f"training.{name}"
        for name in ("validation_pictures", "sample_every", "log_every", "tensorboard", "device", "threads")
    }
    | {"training.learning_rate", "training.precision", "data.folder", "data.split_file"}
    | {"training.accumulate", "training.compile", "training.capture"}
)
"""Settings that may change on resuming: how long, how often, where, how fast, and the remedies after a divergence."""


def check_same_settings(before: RunConfig, now: RunConfig, run: Path) -> None:
    """Check that a run is resumed with its own settings, apart from those of `CHANGEABLE`.

    Raises:
        RunError: names each difference.
    """
    old, new = _flat_settings(before), _flat_settings(now)
    changed = [name for name in {**old, **new} if name not in CHANGEABLE and old.get(name) != new.get(name)]
    if changed:
        listed = "; ".join(f"{name} was {old.get(name)}, now {new.get(name)}" for name in changed)
        raise RunError(f"{run} cannot be resumed with other settings: {listed}. Keep them, or choose another folder")


def _flat_settings(config: RunConfig) -> dict[str, Any]:
    """Return `<part>.<field>` -> value of a whole run."""
    parts = to_record(config)
    return {f"{part}.{name}": value for part in ("method", "data", "training") for name, value in parts[part].items()}


@dataclass(frozen=True)
class ResumeConfig:
    """Resumption of a stopped run, perhaps with other settings."""

    run: Path
    """The run folder."""
    _: KW_ONLY
    epochs: float | None = None
    """New total number of epochs."""
    minutes: float | None = None
    """New total training time."""
    learning_rate: float | None = None
    """New learning rate; use a lower one where losses became NaN."""
    precision: PrecisionChoice | None = None
    """New precision of the forward passes; auto is bfloat16 where that is fast."""
    device: str | None = None
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: as before, or as many as are fastest."""
    data: Path | None = None
    """New folder of the training data, if it was moved."""

    def applied_to(self, before: RunConfig) -> RunConfig:
        """Return the run's config with the settings that are given in the place of its own."""
        names = ("epochs", "minutes", "learning_rate", "precision", "device", "threads")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        data = before.data if self.data is None else replace(before.data, folder=self.data)
        return replace(before, training=replace(before.training, **given), data=data)
