"""Config of CoGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CoGANConfig:
    """CoGAN: pairs of pictures of two unpaired sides from one z. Liu and Tuzel 2016, arXiv:1606.07536."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    width: int = 1024
    """Channels of the generators' first layer; each further layer has half as many."""
    z_size: int = 100
    """Size of z."""
    noise: Literal["uniform", "normal"] = "uniform"
    """Distribution of z: uniform in [-1, 1], as in the paper's Caffe models, or N(0, 1), as in the PyTorch code."""
    discriminator_width: int = 20
    """Channels of each discriminator's first convolution; the last hidden layer has 25 times as many."""
    search_steps: int = 50
    """Maximum number of L-BFGS iterations, and of evaluations divided by 1.25, in the search for the z of a picture."""
    search_restarts: int = 4
    """Number of searches for the z of one picture, each from its own random start; the nearest result is used."""
    search_rate: float = 1.0
    """Learning rate of L-BFGS."""

    def __post_init__(self) -> None:
        counts = ("width", "z_size", "discriminator_width", "search_steps", "search_restarts")
        if min(getattr(self, name) for name in counts) < 1:
            raise ConfigError(f"{', '.join(counts)} must be at least 1")
        if self.search_rate <= 0:
            raise ConfigError(f"search_rate {self.search_rate} must be positive")
