"""Privacy audit: how much a cover hides from attacks and from retrained classifiers; its config. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads

SIZE_MULTIPLE = 16
"""The restorer halves a picture four times."""


@dataclass(frozen=True)
class AuditConfig:
    """Privacy audit: pictures, covers and attackers."""

    folder: Path
    """A folder of pictures for each kind; or such folders in train and in test."""
    _: KW_ONLY
    out: Path
    """The folder to write."""
    style: tuple[Literal["mosaic", "blur", "solid"], ...] = ("mosaic",)
    """mosaic, blur, solid."""
    blocks: tuple[int, ...] = (32, 16, 8, 4)
    """Mosaic blocks across the picture."""
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)
    """Blur sigmas in pixels of a picture of `size`."""
    size: int = 128
    """Side in pixels to which every picture is resized; a multiple of 16."""
    minutes: float = 0.0
    """Training time of a restorer for each cover; 0: none."""
    steps: int = 800
    """Training steps of the small classifier."""
    seed: int = 0
    """Seed of the split, the networks and their batches."""
    device: str = "auto"
    """Device of the restorers: auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: as many as are fastest."""

    def __post_init__(self) -> None:
        if self.size < SIZE_MULTIPLE or self.size % SIZE_MULTIPLE:
            raise ConfigError(f"size {self.size} must be a multiple of {SIZE_MULTIPLE}, such as 128")
        if self.minutes < 0 or self.steps < 1:
            raise ConfigError(f"minutes {self.minutes} must not be negative, steps {self.steps} must be 1 or more")
        if any(sigma <= 0 for sigma in self.sigmas):
            raise ConfigError(f"sigmas {self.sigmas} must be positive")
        check_threads(self.threads)
