"""Config of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, Objective, ReceptiveField, Variant


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig:
    """Image-to-image translation with conditional GANs. Isola et al. 2017, arXiv:1611.07004."""

    paired: ClassVar[bool] = True
    """Learns from pairs alone."""
    generator: Literal["unet", "encoder_decoder", "resnet"] = "unet"
    """Sec. 3.2.1; `encoder_decoder` is the same without skips; `resnet` is CycleGAN's."""
    width: int = 64
    """Channels of the generator's first layer."""
    depth: int | None = None
    """Halvings of the U-Net; unset: as often as the crop divides by 2, at most 8 (256 -> 1x1)."""
    residual_blocks: int = 9
    """Residual blocks of `resnet`."""
    norm: Norm = "batch"
    """Batch statistics at test too, as the paper; `none` keeps colors exact where input and output share them."""
    dropout: float = 0.5
    """The paper's noise z (Sec. 3.1): after the norm of the first three decoder layers, at test too; 0 is none."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """`resize`: nearest-neighbor then convolution, against checkerboards."""
    residual: bool = False
    """Add the network's output to its input. Not pix2pix: for restoring, where the input is nearly the answer."""
    receptive_field: ReceptiveField = 70
    """Receptive field of one PatchGAN score, in pixels (Sec. 4.4)."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    objective: Objective = "vanilla"
    """The adversarial loss; vanilla is the paper's. A `wasserstein` critic has instance norm where `norm` is batch."""
    gradient_penalty: float = 10.0
    """For `wasserstein`: weight of Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3, in the place of weight clipping."""
    adversarial_weight: float = 1.0
    """0: L1 alone, with no discriminator."""
    l1_weight: float = 100.0
    """lambda of Eq. 4; 0: cGAN alone."""
    variant: Variant = "paper"
    """`pytorch`: as the released PyTorch code where it leaves the paper (biases, dropout, losses), to import it."""

    def __post_init__(self) -> None:
        if min(self.width, self.discriminator_width, self.residual_blocks) < 1:
            raise ConfigError("width, discriminator_width and residual_blocks must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} must lie in [0, 1)")
        if self.gradient_penalty < 0:
            raise ConfigError(f"gradient_penalty {self.gradient_penalty} must not be negative")
        if min(self.adversarial_weight, self.l1_weight) < 0 or self.adversarial_weight + self.l1_weight == 0:
            raise ConfigError("adversarial_weight and l1_weight must not be negative, nor both 0")
        if self.depth is not None and not 1 <= self.depth <= 10:
            raise ConfigError(f"depth {self.depth} must lie in 1..10")
