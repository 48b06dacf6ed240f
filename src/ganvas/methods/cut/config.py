"""Config of CUT and FastCUT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, ReceptiveField, check_not_negative


@dataclass(frozen=True, kw_only=True)
class CUTConfig:
    """Unpaired one-way translation by patchwise contrastive learning. Park et al. 2020, arXiv:2007.15651."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    width: int = 64
    """Channels of the generator's first layer."""
    residual_blocks: int | None = None
    """Number of residual blocks; unset: 6 if a side of the crop is below 256 pixels, else 9, as CycleGAN."""
    norm: Norm = "instance"
    """Normalization layers of both networks."""
    antialias: bool = True
    """Downsample by a blur and upsample by a bilinear filter (Zhang 2019), as the released code; else by strides."""
    initialization: Literal["xavier", "normal"] = "xavier"
    """Xavier's with gain 0.02, as the released code; `normal`: N(0, 0.02), as CycleGAN."""
    receptive_field: ReceptiveField = 70
    """Receptive field of one PatchGAN score, in pixels; slightly larger with `antialias` (84 for 70)."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    objective: Literal["vanilla", "least_squares", "hinge"] = "least_squares"
    """The adversarial loss; least squares is the paper's."""
    contrast_weight: float = 1.0
    """lambda_X of Eq. 5: each output patch resembles its input patch. FastCUT: 10."""
    identity_weight: float = 1.0
    """lambda_Y of Eq. 5: the same for pictures of side b (identity loss). FastCUT: 0."""
    patches: int = 256
    """Number of patches compared with one another, for each picture and layer."""
    projection: int = 256
    """Size of the compared vectors."""
    temperature: float = 0.07
    """tau, the divisor of the cosines."""
    flip_equivariance: bool = False
    """Flip equivariance of FastCUT: half of the pictures are mirrored before the generator, and their features after
    it."""

    def __post_init__(self) -> None:
        counts = (self.width, self.discriminator_width, self.projection)
        if min(counts) < 1 or (self.residual_blocks is not None and self.residual_blocks < 1):
            raise ConfigError("width, discriminator_width, projection and residual_blocks must be at least 1")
        if self.patches < 2:
            raise ConfigError(f"patches {self.patches} must be at least 2, because each is compared with the others")
        check_not_negative(self, "contrast_weight", "identity_weight")
        if self.contrast_weight + self.identity_weight == 0:
            raise ConfigError(
                "contrast_weight and identity_weight are both 0, so that nothing ties the output to the input: set one "
                "of them"
            )
        if self.temperature <= 0:
            raise ConfigError(f"temperature {self.temperature} must be positive")
