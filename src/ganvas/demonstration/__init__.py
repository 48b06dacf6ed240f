"""End-to-end demonstration on packaged photographs, and its config; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """End-to-end demonstration."""

    out: Path = Path("demo")
    """Output folder; an earlier demo in it is replaced."""
    minutes: float = 4.5
    """Training time of both models together, in minutes."""
    threads: int | None = None
    """Number of CPU threads; unset: the fastest number."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ConfigError(f"minutes {self.minutes} must be positive")
        check_threads(self.threads)
