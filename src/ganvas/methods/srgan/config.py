"""Config of SRGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import check_not_negative
from ganvas.methods.srresnet.config import SRResNetConfig

Content = Literal["vgg19-5,4", "vgg19-2,2", "vgg16-5,3", "vgg16-2,2", "pixels"]
"""Features of the content loss: a classifier's block and convolution, or the pixels themselves."""


@dataclass(frozen=True, kw_only=True)
class SRGANConfig(SRResNetConfig):
    """SRResNet trained with a discriminator and a perceptual loss. Ledig et al. 2017, arXiv:1609.04802."""

    content: Content = "vgg19-5,4"
    """Features of the content loss (Sec. 2.2.1): layer i,j of a VGG network, or `loss` on the pixels. The paper uses
    VGG19; VGG16 is an alternative if only its weights are available."""
    content_weight: float = 0.006
    """Weight of the content loss; the paper scales features by 1/12.75 (Sec. 3.2); use 1 for pixels."""
    pre_activation: bool = False
    """Compare features before their ReLU, which are less sparse (Wang et al. 2018, arXiv:1809.00219)."""
    pixel_weight: float = 0.0
    """Weight of `loss` on the pixels, in addition to the features."""
    adversarial_weight: float = 1e-3
    """Weight of the adversarial loss (Eq. 3)."""
    objective: Literal["vanilla", "hinge", "relativistic"] = "vanilla"
    """`vanilla` is the paper's; `relativistic` compares scores with the mean of the other class (arXiv:1807.00734)."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_norm: Literal["batch", "none"] = "batch"
    """Normalization after all of the discriminator's convolutions but the first."""
    spectral: bool = False
    """Spectral normalization of the discriminator (arXiv:1802.05957)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "content_weight", "pixel_weight", "adversarial_weight")
        if max(self.content_weight, self.pixel_weight, self.adversarial_weight) == 0:
            raise ConfigError("content_weight, pixel_weight and adversarial_weight are all 0: there is no loss")
        if self.discriminator_width < 1:
            raise ConfigError("discriminator_width must be at least 1")
