"""Diagnosis of the machine and the installation, and its config; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ganvas.hardware.threads import check_threads


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Diagnosis of the machine and the installation."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seconds: float = 10.0
    """Measuring time in seconds over all precisions."""
    threads: int | None = None
    """Number of CPU threads; unset: the fastest number."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
