"""Config of VAE/GAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.vae.config import check_sizes


@dataclass(frozen=True, kw_only=True)
class VAEGANConfig:
    """A VAE whose pictures are compared as a discriminator sees them. Larsen et al. 2016, arXiv:1512.09300."""

    paired: ClassVar[bool] = True
    """Learns from pictures that are their own target: PairedData with layout single and degrade identity."""
    latent_size: int = 128
    """Numbers of the code z."""
    width: int = 64
    """Channels of the encoder's first layer; all others follow (Table 1)."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Of the decoder; `resize`: nearest-neighbor then convolution, against checkerboards."""
    gamma: float = 1e-6
    """Weight of the feature reconstruction beside the adversarial loss, for the decoder alone (Algorithm 1).

    The value of the released code for faces, whose discriminator does not see reconstructions there. Larger values keep
    nearer to the picture, smaller ones invent more."""
    adversarial: Literal["minimax", "non_saturating"] = "minimax"
    """What the decoder does with the GAN's loss: raise it (Algorithm 1), or lower -log Dis of what it makes."""

    def __post_init__(self) -> None:
        check_sizes(latent_size=self.latent_size, width=self.width)
        if self.gamma < 0:
            raise ConfigError(f"gamma {self.gamma} must not be negative")
