"""Config of VAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Autoencoding of pictures through a random latent code. Kingma and Welling 2014, arXiv:1312.6114."""

    paired: ClassVar[bool] = True
    """Trains on pictures that are their own targets: PairedData with layout single and degrade identity."""
    latent_size: int = 128
    """Size of the code z (Larsen et al. 2016: 128)."""
    width: int = 64
    """Channels of the encoder's first layer; all others follow (Larsen et al. 2016, Table 1)."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Upsampling in the decoder; `resize` is nearest-neighbor upsampling followed by a convolution, which avoids
    checkerboards."""
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    """p(x|z) (Appendix C): squared error, or cross-entropy for pictures that are nearly black and white."""
    deviation: float = 1.0
    """Standard deviation of `gaussian`, for pictures in [-1, 1]; smaller values give the reconstruction more weight."""

    def __post_init__(self) -> None:
        check_sizes(latent_size=self.latent_size, width=self.width)
        if self.deviation <= 0:
            raise ConfigError(f"deviation {self.deviation} must be positive")


def check_sizes(**sizes: int) -> None:
    """Raise ConfigError unless each is at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} {size} must be at least 1")
