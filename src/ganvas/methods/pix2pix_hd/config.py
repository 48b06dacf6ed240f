"""Config of pix2pixHD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, Objective, check_not_negative
from ganvas.methods.pix2pix.config import Pix2PixConfig

Perceptual = Literal["none", "vgg19", "vgg16"]
"""Classifier whose features the perceptual loss compares."""
MOST_HALVINGS = 8
MOST_SCALES = 6


@dataclass(frozen=True, kw_only=True)
class Pix2PixHDConfig(Pix2PixConfig):
    """pix2pix with multi-scale discriminators and feature matching. Wang et al. 2018, arXiv:1711.11585."""

    generator: Literal["unet", "encoder_decoder", "resnet", "rrdb", "compact", "nafnet", "residual_unet"] = "resnet"
    """`resnet` is the paper's (Sec. 3.2): the global generator, with local enhancers if `enhancers` is set."""
    halvings: int = 4
    """For `resnet`: downsampling convolutions, each of which doubles the channels; CycleGAN's has 2."""
    enhancers: int = 0
    """For `resnet`: local enhancers around the global generator, each at twice the resolution (Sec. 3.2). The paper
    has one for 2048 x 1024 pixels. All are trained together from the start."""
    enhancer_blocks: int = 3
    """Residual blocks of each local enhancer."""
    norm: Norm = "instance"
    """Normalization of generator and discriminators; `none` keeps colors exact."""
    dropout: float = 0.0
    """Dropout as noise; pix2pixHD has none."""
    discriminator_scales: int = 3
    """Discriminators, each at half the resolution of the one before (Sec. 3.2); 2 by default in the released code."""
    objective: Objective = "least_squares"
    """Adversarial loss; the paper uses least squares. A `wasserstein` critic is the sum over all scales."""
    adversarial_weight: float = 1.0
    """Weight of the adversarial loss; 0: no discriminators, so that `feature_weight` must be 0, and `l1_weight` or the
    perceptual loss trains the generator."""
    feature_weight: float = 10.0
    """lambda of Eq. 5: weight of the feature matching loss; 0 disables it."""
    perceptual: Perceptual = "none"
    """Classifier of the perceptual loss (Sec. 4), the distance of the features of five of its layers. The paper's is
    VGG19; VGG16 is an alternative if only its weights are available."""
    perceptual_weight: float = 10.0
    """Weight of the perceptual loss, if it is enabled; the released code uses the weight of the feature matching
    loss."""
    l1_weight: float = 0.0
    """Weight of the L1 loss on pixels; pix2pixHD has none."""

    def __post_init__(self) -> None:
        check_not_negative(self, "feature_weight", "perceptual_weight")
        if self.adversarial_weight == 0 and self.feature_weight > 0:
            raise ConfigError(
                "feature matching needs the discriminators, which adversarial_weight 0 removes: set feature_weight to "
                "0 too, and for L1 alone l1_weight to 100"
            )
        super().__post_init__()
        if not 1 <= self.halvings <= MOST_HALVINGS:
            raise ConfigError(f"halvings {self.halvings} must lie in 1..{MOST_HALVINGS}")
        if not 1 <= self.discriminator_scales <= MOST_SCALES:
            raise ConfigError(f"discriminator_scales {self.discriminator_scales} must lie in 1..{MOST_SCALES}")
        if self.enhancers < 0 or self.enhancer_blocks < 1:
            raise ConfigError(
                f"enhancers {self.enhancers} must not be negative, enhancer_blocks {self.enhancer_blocks} at least 1"
            )
        if self.width % 2**self.enhancers:
            raise ConfigError(
                f"each of the {self.enhancers} enhancers halves the width {self.width}: use a multiple of "
                f"{2**self.enhancers}"
            )
        if self.enhancers and self.generator != "resnet":
            raise ConfigError(f"local enhancers need the generator resnet, not {self.generator}: set enhancers to 0")

    @property
    def has_loss(self) -> bool:
        """Return whether a loss has a positive weight; the perceptual loss can be the only one."""
        return super().has_loss or self.has_perceptual_loss

    @property
    def has_perceptual_loss(self) -> bool:
        """Return whether features of a classifier are compared."""
        return self.perceptual != "none" and self.perceptual_weight > 0
