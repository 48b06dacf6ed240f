"""Toy problems with known answers: densities and points in the plane; config of `density`. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True)
class DensityConfig:
    """Study of one idea behind the methods on densities with known answers."""

    question: Literal["sample", "likelihood", "gan", "collapse", "dual"]
    """sample, likelihood, gan, collapse or dual."""
    _: KW_ONLY
    out: Path
    """The folder to write."""
    seed: int = 0
    """Seed of every draw."""
    steps: int | None = None
    """Training steps; unset: as many as the question needs."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} must not be negative")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps {self.steps} must be at least 1")
        if self.steps is not None and self.question in ("sample", "likelihood"):
            raise ConfigError(f"{self.question} trains nothing: leave --steps out")
        check_threads(self.threads)
