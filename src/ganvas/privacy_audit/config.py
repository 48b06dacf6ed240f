"""What an audit is asked. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from ganvas.errors import ConfigError
from ganvas.image.cover import Style

__all__ = ["Terms"]

SIZE_MULTIPLE = 16
"""The restorer halves a picture four times."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The covers, and what their attackers are given."""

    styles: tuple[Style, ...] = ("mosaic",)
    """mosaic, blur, solid."""
    blocks: tuple[int, ...] = (32, 16, 8, 4)
    """Blocks of a mosaic across the picture."""
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)
    """Of a blur, in pixels of a picture of `size`."""
    size: int = 128
    """Pixels a side that every picture is brought to."""
    minutes: float = 0.0
    """Of training for a restorer of each cover; 0: none."""
    steps: int = 800
    """Of training for the small network that names pictures."""
    seed: int = 0
    """Of the split, the networks and their batches."""
    device: str = "auto"
    """Of the restorers: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        if self.size < SIZE_MULTIPLE or self.size % SIZE_MULTIPLE:
            raise ConfigError(f"size {self.size} must be a multiple of {SIZE_MULTIPLE}, such as 128")
        if self.minutes < 0 or self.steps < 1:
            raise ConfigError(f"minutes {self.minutes} must not be negative, steps {self.steps} must be 1 or more")
        if any(sigma <= 0 for sigma in self.sigmas):
            raise ConfigError(f"sigmas {self.sigmas} must be positive")
