"""Config of CoGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CoGANConfig:
    """Pairs of pictures from one z, of two sides that need not correspond. Liu and Tuzel 2016, arXiv:1606.07536."""

    paired: ClassVar[bool] = False
    """Learns from two sides that need not correspond; pairs will do."""
    width: int = 1024
    """Channels of the generators' first layer; each further one has half as many."""
    z_size: int = 100
    """Numbers in a z."""
    noise: Literal["uniform", "normal"] = "uniform"
    """Where z comes from: [-1, 1], as the paper's Caffe models, or N(0, 1), as the released PyTorch code."""
    discriminator_width: int = 20
    """Channels of each discriminator's first convolution; the last hidden layer has 25 times as many."""
    search_steps: int = 50
    """At most so many iterations of L-BFGS, and 1.25 times as many evaluations, in the search for the z of a picture to
    translate."""
    search_restarts: int = 4
    """Searches for the z of one picture, each from a start of its own; the nearest counts."""
    search_rate: float = 1.0
    """Share of its step that L-BFGS tries first."""

    def __post_init__(self) -> None:
        counts = ("width", "z_size", "discriminator_width", "search_steps", "search_restarts")
        if min(getattr(self, name) for name in counts) < 1:
            raise ConfigError(f"{', '.join(counts)} must be at least 1")
        if self.search_rate <= 0:
            raise ConfigError(f"search_rate {self.search_rate} must be positive")
