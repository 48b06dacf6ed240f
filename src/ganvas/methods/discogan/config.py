"""Config of DiscoGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DiscoGANConfig:
    """Unpaired translation of small pictures with feature matching. Kim et al. 2017, arXiv:1703.05192."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    width: int = 64
    """Channels of the first layer of each of the four networks."""
    bottleneck: int = 0
    """Channels of a bottleneck in the middle of each generator; the paper's deeper generator has 100."""
    feature_matching: float = 0.9
    """Share of feature matching in a generator's adversarial term; the rest is the adversarial loss."""
    early_reconstruction: float = 0.01
    """r, the share of the reconstruction in a generator's loss, in the first `curriculum_steps`."""
    reconstruction: float = 0.5
    """r afterwards."""
    curriculum_steps: int = 10_000
    """Initial steps in which the adversarial term dominates."""
    discriminator_interval: int = 1
    """1: each step updates the discriminators, then the generators; N: every N-th step updates the discriminators, the
    others the generators. The released code uses 3."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.discriminator_interval < 1:
            raise ConfigError("width and discriminator_interval must be at least 1")
        if min(self.bottleneck, self.curriculum_steps) < 0:
            raise ConfigError("bottleneck and curriculum_steps must not be negative")
        for name in ("feature_matching", "early_reconstruction", "reconstruction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name)} is a share: it must lie in [0, 1]")
