"""Config of Real-ESRGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import check_not_negative
from ganvas.methods.srresnet.config import SRResNetConfig


@dataclass(frozen=True, kw_only=True)
class RealESRGANConfig(SRResNetConfig):
    """Restoration of photographs with unknown defects. Wang et al. 2021, arXiv:2107.10833."""

    perceptual: Literal["none", "vgg19", "vgg16"] = "vgg19"
    """Classifier of the perceptual loss (Sec. 4.1), the distance of its features before five ReLUs. The paper's is
    VGG19; VGG16 is an alternative if only its weights are available."""
    pixel_weight: float = 1.0
    """Weight of `loss` on the pixels in [0, 1]."""
    perceptual_weight: float = 1.0
    """Weight of the perceptual loss, where there is one."""
    adversarial_weight: float = 0.1
    """Weight of the adversarial loss."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    generator: Literal["srresnet", "rrdb", "compact", "nafnet", "residual_unet"] = "rrdb"
    """`rrdb` is the paper's, `compact` the fast one of its release; or another of SRResNet's."""
    num_blocks: int = 23
    """RRDBs of `rrdb`; inner convolutions of `compact`, 16 or 32 in its release; residual blocks of `srresnet`."""
    loss: Literal["mse", "l1"] = "l1"
    """Per pixel; the paper's is L1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "pixel_weight", "perceptual_weight", "adversarial_weight")
        if self.pixel_weight == self.adversarial_weight == 0 and not self.has_perceptual_loss:
            raise ConfigError("the weights of all losses are 0: nothing would be learned")
        if self.discriminator_width < 1:
            raise ConfigError("discriminator_width must be at least 1")

    @property
    def has_perceptual_loss(self) -> bool:
        """Return whether a classifier compares pictures."""
        return self.perceptual != "none" and self.perceptual_weight > 0
