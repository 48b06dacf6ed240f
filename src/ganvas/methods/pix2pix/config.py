"""Config of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import (
    Norm,
    Objective,
    ReceptiveField,
    RestorationSizes,
    Variant,
    check_frames,
    check_not_negative,
)


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(RestorationSizes):
    """Image-to-image translation with conditional GANs. Isola et al. 2017, arXiv:1611.07004."""

    paired: ClassVar[bool] = True
    """Trains on paired data only."""
    generator: Literal["unet", "encoder_decoder", "resnet", "rrdb", "compact", "nafnet", "residual_unet"] = "unet"
    """Generator: `unet` (Sec. 3.2.1); `encoder_decoder` is the same without skips; `resnet` is CycleGAN's. `rrdb`
    (arXiv:1809.00219), `compact` (arXiv:2107.10833), `nafnet` (arXiv:2204.04676) and `residual_unet`, a U-Net of plain
    residual blocks (after DRUNet, arXiv:2008.13751), are restoration networks, without norm and dropout."""
    width: int = 64
    """Channels of the generator's first layer."""
    depth: int | None = None
    """Downsampling steps of the U-Net; unset: as many as the crop size allows, at most 8 (256 -> 1x1)."""
    residual_blocks: int = 9
    """Number of residual blocks of `resnet`, of RRDBs of `rrdb`, or of inner convolutions of `compact`."""
    norm: Norm = "batch"
    """Normalization, with batch statistics also at test time, as in the paper; `none` keeps colors exact."""
    dropout: float = 0.5
    """Dropout as the noise z (Sec. 3.1): in the first three decoder layers, also at test time; 0 disables it."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Upsampling: `resize` is nearest-neighbor upsampling followed by a convolution, which avoids checkerboards."""
    residual: bool = False
    """Add the network's output to its input. Not part of pix2pix; for restoration, where input and target are close.
    `compact`, `nafnet` and `residual_unet` always do."""
    frames: int = 1
    """Number of neighboring frames of a film that are concatenated as input, with the one to translate in the middle;
    odd. Not part of pix2pix. The window of a still picture repeats the picture."""
    receptive_field: ReceptiveField = 70
    """Receptive field of one PatchGAN score, in pixels (Sec. 4.4)."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    objective: Objective = "vanilla"
    """Adversarial loss; the paper uses vanilla. A `wasserstein` critic has instance norm if `norm` is batch."""
    gradient_penalty: float = 10.0
    """For `wasserstein`: weight of the gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3)."""
    adversarial_weight: float = 1.0
    """Weight of the adversarial loss; 0: L1 only, without a discriminator."""
    l1_weight: float = 100.0
    """lambda of Eq. 4; 0: adversarial loss only."""
    variant: Variant = "paper"
    """`pytorch` follows the released PyTorch code where it deviates from the paper (biases, dropout, losses), for its
    checkpoints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.width, self.discriminator_width, self.residual_blocks) < 1:
            raise ConfigError("width, discriminator_width and residual_blocks must be at least 1")
        check_frames(self.frames)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} must lie in [0, 1)")
        check_not_negative(self, "gradient_penalty", "adversarial_weight", "l1_weight")
        if not self.has_loss:
            raise ConfigError("adversarial_weight and l1_weight are both 0, so that no loss is left: set one of them")
        if self.depth is not None and not 1 <= self.depth <= 10:
            raise ConfigError(f"depth {self.depth} must lie in 1..10")

    @property
    def has_loss(self) -> bool:
        """Return whether a loss has a positive weight."""
        return self.adversarial_weight > 0 or self.l1_weight > 0
