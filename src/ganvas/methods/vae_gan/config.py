"""Config of VAE/GAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.vae.config import check_sizes


@dataclass(frozen=True, kw_only=True)
class VAEGANConfig:
    """A VAE with a reconstruction loss on discriminator features. Larsen et al. 2016, arXiv:1512.09300."""

    paired: ClassVar[bool] = True
    """Trains on pictures that are their own targets: PairedData with layout single and degrade identity."""
    latent_size: int = 128
    """Size of the code z."""
    width: int = 64
    """Channels of the encoder's first layer; all others follow (Table 1)."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Upsampling in the decoder; `resize` is nearest-neighbor upsampling followed by a convolution, which avoids
    checkerboards."""
    gamma: float = 1e-6
    """Weight of the feature reconstruction loss of the decoder, relative to the adversarial loss (Algorithm 1).

    The default is that of the released code for faces, whose discriminator does not see reconstructions. Larger values
    preserve more of the picture, smaller ones invent more."""
    adversarial: Literal["minimax", "non_saturating"] = "minimax"
    """Adversarial loss of the decoder: maximize the GAN loss (Algorithm 1), or minimize -log Dis of its pictures."""

    def __post_init__(self) -> None:
        check_sizes(latent_size=self.latent_size, width=self.width)
        if self.gamma < 0:
            raise ConfigError(f"gamma {self.gamma} must not be negative")
