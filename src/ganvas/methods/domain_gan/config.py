"""Config of the domain-conditioned GAN with an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DomainGANConfig:
    """GAN of both sides with shared noise, and an encoder to the noise. Dong et al. 2017, arXiv:1701.02676."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    encoder_after: int = 100_000
    """Number of images after which the GAN is frozen and the encoder is trained. Must be below the number of images of
    the whole run, since translation needs the encoder."""
    z_size: int = 100
    """Size of the noise z."""
    embedding_size: int = 5
    """Size of the class embedding, which is concatenated with z."""
    width: int = 64
    """Channels of the first layer of discriminator and encoder; the generator's last layer has twice as many inputs."""
    class_weight: float = 1.0
    """Weight of the classification loss of the side."""
    generator_steps: int = 2
    """Generator updates for each discriminator update, on the same noise; 2 in the released code."""

    def __post_init__(self) -> None:
        for name in ("z_size", "embedding_size", "width", "generator_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least 1")
        if self.class_weight <= 0:
            raise ConfigError(
                f"class_weight {self.class_weight} must be positive, otherwise the sides cannot be distinguished"
            )
        if self.encoder_after < 0:
            raise ConfigError(f"encoder_after {self.encoder_after} must not be negative")
