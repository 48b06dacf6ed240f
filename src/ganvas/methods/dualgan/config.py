"""Config of DualGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, ReceptiveField, check_not_negative


@dataclass(frozen=True, kw_only=True)
class DualGANConfig:
    """Unpaired translation as dual learning, with Wasserstein critics. Yi et al. 2017, arXiv:1704.02510."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    width: int = 64
    """Channels of each U-Net's first layer."""
    depth: int | None = None
    """Downsampling steps of each U-Net; unset: as many as the crop size allows, at most 8."""
    norm: Norm = "instance"
    """Normalization of all four networks; the released code uses statistics of each picture, so instance norm. With
    `batch` the critics keep `instance`: clipping would limit a batch norm's scales, and a gradient penalty needs scores
    that do not depend on the batch."""
    dropout: float = 0.5
    """Dropout as the paper's noise: in the first three decoder layers, also at test time; 0 disables it."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Upsampling: `resize` is nearest-neighbor upsampling followed by a convolution, which avoids checkerboards."""
    critic: Literal["patch", "global"] = "patch"
    """`patch`: a PatchGAN; `global`: one score per picture, for crops of one size, as the released code."""
    receptive_field: ReceptiveField = 70
    """For `patch`: receptive field of one score, in pixels."""
    discriminator_width: int = 64
    """Channels of each critic's first layer."""
    critic_steps: int = 3
    """Critic updates, each on its own batch, for each generator update; 2 to 4 in the paper."""
    clip: float = 0.01
    """Bound on the absolute value of critic weights; 0: no clipping, for use with a gradient penalty."""
    gradient_penalty: float = 0.0
    """Weight of the gradient penalty (Gulrajani et al. 2017, Eq. 3) in place of `clip`; 10 in the released code."""
    recovery_weight_a: float = 500.0
    """lambda_U: weight of the L1 reconstruction error of a -> b -> a; 100 to 1000 in the paper."""
    recovery_weight_b: float = 500.0
    """lambda_V: the same for b -> a -> b. Smaller if only side b has photographs (Sec. 4)."""

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
        check_not_negative(self, "recovery_weight_a", "recovery_weight_b")
        if self.depth is not None and not 1 <= self.depth <= 10:
            raise ConfigError(f"depth {self.depth} must lie in 1..10")
