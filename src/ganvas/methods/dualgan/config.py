"""Config of DualGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, ReceptiveField


@dataclass(frozen=True, kw_only=True)
class DualGANConfig:
    """Unpaired translation as dual learning, with Wasserstein critics. Yi et al. 2017, arXiv:1704.02510."""

    paired: ClassVar[bool] = False
    """Learns from two sides that need not correspond; pairs will do."""
    width: int = 64
    """Channels of each U-Net's first layer."""
    depth: int | None = None
    """Halvings of each U-Net; unset: as often as the crop divides by 2, at most 8."""
    norm: Norm = "instance"
    """Of all four networks; the released code takes statistics of each picture, so instance. With `batch` the critics
    keep `instance`: clipping would cut a batch norm's scales, a penalty needs scores of single pictures."""
    dropout: float = 0.5
    """The paper's noise: after the norm of the first three decoder layers, at test too; 0 is none."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """`resize`: nearest-neighbor then convolution, against checkerboards."""
    critic: Literal["patch", "global"] = "patch"
    """`patch`: a PatchGAN; `global`: one score a picture, for crops of one size, as the released code."""
    receptive_field: ReceptiveField = 70
    """Of `patch`: receptive field of one score, in pixels."""
    discriminator_width: int = 64
    """Channels of each critic's first layer."""
    critic_steps: int = 3
    """Moves of the critics, each on a batch of its own, for one of the generators; the paper's are 2 to 4."""
    clip: float = 0.01
    """Critics' weights are held within this distance of 0; 0: free, with a gradient penalty."""
    gradient_penalty: float = 0.0
    """Weight of Gulrajani et al. 2017, Eq. 3, in the place of `clip`; the released code's is 10."""
    recovery_weight_a: float = 500.0
    """lambda_U: how much a -> b -> a must come back, in L1; the paper's are 100 to 1000."""
    recovery_weight_b: float = 500.0
    """lambda_V: the same of b -> a -> b. Smaller for a side of photographs whose other side is not (Sec. 4)."""

    def __post_init__(self) -> None:
        if min(self.width, self.discriminator_width, self.critic_steps) < 1:
            raise ConfigError("width, discriminator_width and critic_steps must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} must lie in [0, 1)")
        if min(self.clip, self.gradient_penalty) < 0 or (self.clip > 0) == (self.gradient_penalty > 0):
            raise ConfigError(
                f"a Wasserstein critic needs clip ({self.clip}) or gradient_penalty ({self.gradient_penalty}): "
                "make one positive and the other 0"
            )
        if min(self.recovery_weight_a, self.recovery_weight_b) < 0:
            raise ConfigError("recovery_weight_a and recovery_weight_b must not be negative")
        if self.depth is not None and not 1 <= self.depth <= 10:
            raise ConfigError(f"depth {self.depth} must lie in 1..10")
