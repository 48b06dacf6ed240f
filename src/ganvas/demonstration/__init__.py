"""Demonstration from end to end on photographs inside two packages, and its config. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Demonstration from end to end."""

    out: Path = Path("demo")
    """The folder to write; an earlier demo in it is replaced."""
    minutes: float = 4.0
    """Training time over both models."""
    threads: int | None = None
    """Number of CPU threads; unset: as many as are fastest."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ConfigError(f"minutes {self.minutes} must be positive")
        check_threads(self.threads)
