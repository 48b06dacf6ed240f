"""Config of SRGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.methods.srresnet.config import SRResNetConfig

Content = Literal["vgg19-5,4", "vgg19-2,2", "vgg16-5,3", "vgg16-2,2", "pixels"]
"""Where the content loss compares pictures: a classifier's block and convolution, or the pixels themselves."""


@dataclass(frozen=True, kw_only=True)
class SRGANConfig(SRResNetConfig):
    """SRResNet trained with a discriminator and a perceptual loss. Ledig et al. 2017, arXiv:1609.04802."""

    content: Content = "vgg19-5,4"
    """Where pictures are compared (Sec. 2.2.1): features of the classifier i,j, or `loss` on the pixels. The paper's is
    VGG19; VGG16 is for where its weights alone are at hand."""
    content_weight: float = 0.006
    """Of features, which the paper scales by 1/12.75 (Sec. 3.2); of pixels give 1."""
    pre_activation: bool = False
    """Features before their ReLU, more of which are not 0 (Wang et al. 2018, arXiv:1809.00219)."""
    pixel_weight: float = 0.0
    """Of `loss` on the pixels, beside the features."""
    adversarial_weight: float = 1e-3
    """Of the discriminator (Eq. 3)."""
    objective: Literal["vanilla", "hinge", "relativistic"] = "vanilla"
    """`vanilla` is the paper's; `relativistic` compares with the mean of the other kind (arXiv:1807.00734)."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_norm: Literal["batch", "none"] = "batch"
    """After all its convolutions but the first."""
    spectral: bool = False
    """Divide each of its layers by its largest singular value (arXiv:1802.05957)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.content_weight, self.pixel_weight, self.adversarial_weight) < 0:
            raise ConfigError("content_weight, pixel_weight and adversarial_weight must not be negative")
        if max(self.content_weight, self.pixel_weight, self.adversarial_weight) == 0:
            raise ConfigError("content_weight, pixel_weight and adversarial_weight are all 0: nothing would be learned")
        if self.discriminator_width < 1:
            raise ConfigError("discriminator_width must be at least 1")
