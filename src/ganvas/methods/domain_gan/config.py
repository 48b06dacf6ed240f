"""Config of the domain-conditioned GAN with an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DomainGANConfig:
    """A GAN that draws both sides from one noise, then an encoder back to it. Dong et al. 2017, arXiv:1701.02676."""

    paired: ClassVar[bool] = False
    """Learns from two sides that need not correspond; pairs will do."""
    encoder_after: int = 100_000
    """Images after which the GAN is frozen and the encoder is trained. Must be below the images of the whole run: until
    then nothing can be translated."""
    z_size: int = 100
    """Numbers of the noise z."""
    embedding_size: int = 5
    """Numbers that stand for a side, beside z."""
    width: int = 64
    """Channels of the discriminator's and the encoder's first layer, half of those before the generator's last."""
    class_weight: float = 1.0
    """Weight of the classification loss of the side."""
    generator_steps: int = 2
    """Steps of the generator after one of the discriminator, on the same noise; 2 as in the released code."""

    def __post_init__(self) -> None:
        for name in ("z_size", "embedding_size", "width", "generator_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least 1")
        if self.class_weight <= 0:
            raise ConfigError(
                f"class_weight {self.class_weight} must be positive: without it nothing tells the sides apart"
            )
        if self.encoder_after < 0:
            raise ConfigError(f"encoder_after {self.encoder_after} must not be negative")
