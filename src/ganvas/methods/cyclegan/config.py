"""Config of CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Domain, Norm, ReceptiveField, Variant, check_not_negative


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """Unpaired translation with cycle consistency. Zhu et al. 2017, arXiv:1703.10593."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    generator: Literal["resnet", "unet"] = "resnet"
    """Generator: `resnet` (Sec. 7.2), or `unet`, that of pix2pix."""
    width: int = 64
    """Channels of each generator's first layer."""
    residual_blocks: int | None = None
    """Residual blocks of `resnet`; unset: 6 if a side of the crop is below 256 pixels, else 9 (Sec. 7.2)."""
    depth: int | None = None
    """Downsampling steps of `unet`; unset: as many as the crop size allows, at most 8."""
    norm: Norm = "instance"
    """Normalization of all four networks; instance is the paper's."""
    dropout: float = 0.0
    """Dropout in residual blocks or the U-Net's decoder, also at test time; the paper has none."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Upsampling: `resize` is nearest-neighbor upsampling followed by a convolution, which avoids checkerboards."""
    receptive_field: ReceptiveField = 70
    """Receptive field of one PatchGAN score, in pixels."""
    discriminator_width: int = 64
    """Channels of each discriminator's first layer."""
    objective: Literal["vanilla", "least_squares", "hinge"] = "least_squares"
    """Adversarial loss; the paper uses least squares (Sec. 4)."""
    cycle_weight: float = 10.0
    """lambda of Eq. 3; 0 disables the cycle loss."""
    cycle_weight_a: float | None = None
    """Weight of the cycle a -> b -> a (lambda_A of the released code); unset: `cycle_weight`."""
    cycle_weight_b: float | None = None
    """Weight of the cycle b -> a -> b (lambda_B of the released code); unset: `cycle_weight`."""
    cycle: Literal["both", "forward", "backward"] = "both"
    """Terms of Eq. 2: `forward` has the cycle a -> b -> a only, `backward` b -> a -> b only (Sec. 5.1.4)."""
    identity_weight: float = 0.0
    """Weight of the identity loss relative to the cycle weight of the same side. The paper uses 0.5 for painting ->
    photo (Sec. 5.2), the released code always."""
    pool_size: int = 50
    """Size of the image buffer of past fakes, which the discriminator sees half of the time (Sec. 4); 0 disables it."""
    order: Literal["generators_first", "discriminators_first"] = "generators_first"
    """Order of updates in a step; the released PyTorch code updates both generators, then both discriminators."""
    variant: Variant = "paper"
    """`pytorch` follows the released PyTorch code where it deviates from the paper (biases, dropout), for its
    checkpoints."""

    def __post_init__(self) -> None:
        if min(self.width, self.discriminator_width) < 1 or (
            self.residual_blocks is not None and self.residual_blocks < 1
        ):
            raise ConfigError("width, discriminator_width and residual_blocks must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} must lie in [0, 1)")
        sides = [name for name in ("cycle_weight_a", "cycle_weight_b") if getattr(self, name) is not None]
        check_not_negative(self, "cycle_weight", *sides, "identity_weight", "pool_size")
        if self.identity_weight > 0 and not any(self.cycle_weights.values()):
            raise ConfigError("identity_weight is relative to the cycle weights, which are 0: set both, or neither")
        if self.depth is not None and not 1 <= self.depth <= 10:
            raise ConfigError(f"depth {self.depth} must lie in 1..10")

    @property
    def cycle_weights(self) -> dict[Domain, float]:
        """Weight of each side's cycle."""
        a, b = self.cycle_weight_a, self.cycle_weight_b
        return {"a": self.cycle_weight if a is None else a, "b": self.cycle_weight if b is None else b}
