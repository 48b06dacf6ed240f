"""Toy problems with known answers, densities and points in the plane, and the config of `density`; imports no torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True)
class DensityConfig:
    """Study of an idea behind the methods on densities with known answers."""

    question: Literal["sample", "likelihood", "gan", "collapse", "dual"]
    """Experiment: sample, likelihood, gan, collapse or dual."""
    _: KW_ONLY
    out: Path
    """Output folder."""
    seed: int = 0
    """Seed of all random numbers."""
    steps: int | None = None
    """Number of training steps; unset: that of the experiment."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} must not be negative")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps {self.steps} must be at least 1")
        if self.steps is not None and self.question in ("sample", "likelihood"):
            raise ConfigError(f"{self.question} does not train: omit --steps")
        check_threads(self.threads)
