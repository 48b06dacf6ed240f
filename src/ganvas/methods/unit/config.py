"""Config of UNIT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import Norm, check_not_negative


@dataclass(frozen=True, kw_only=True)
class UNITConfig:
    """Unpaired translation through one latent space. Liu et al. 2017, arXiv:1703.00848."""

    paired: ClassVar[bool] = False
    """Trains on unpaired data; the pairing of paired data is ignored."""
    width: int = 64
    """Channels of each encoder's first layer; the latent space has 4 times as many."""
    residual_blocks: int = 4
    """Number of residual blocks of each encoder, and of each generator."""
    shared_blocks: int = 1
    """Number of an encoder's last and a generator's first blocks that both domains share; 0 in the released code."""
    norm: Norm = "instance"
    """Normalization of encoders and generators."""
    discriminator_width: int = 64
    """Channels of each discriminator's first layer; each further layer has twice as many."""
    discriminator_scales: int = 1
    """Number of discriminators of each domain, each at half the resolution of the previous one; the released code has
    3."""
    discriminator_shared_layers: int = 0
    """Number of a discriminator's last layers that both domains share; the paper shares some for domain adaptation."""
    objective: Literal["vanilla", "least_squares", "hinge"] = "vanilla"
    """Adversarial loss; the released code uses least squares."""
    judged: Literal["all", "translations"] = "all"
    """Generated pictures that the discriminators see: reconstructions, translations and samples from the prior, or
    translations only."""
    adversarial_weight: float = 10.0
    """lambda 0: weight of the adversarial loss."""
    kl_weight: float = 0.1
    """lambda 1 and lambda 3: weight of the KL divergence of the latent codes from the prior."""
    reconstruction_weight: float = 100.0
    """lambda 2: weight of the L1 reconstruction error."""
    cycle_weight: float = 100.0
    """lambda 4: weight of the cycle reconstruction error."""

    def __post_init__(self) -> None:
        sizes = ("width", "residual_blocks", "discriminator_width", "discriminator_scales")
        if min(getattr(self, name) for name in sizes) < 1:
            raise ConfigError(f"{', '.join(sizes)} must be at least 1")
        if not 0 <= self.shared_blocks <= self.residual_blocks:
            raise ConfigError(
                f"shared_blocks {self.shared_blocks} must lie in 0..{self.residual_blocks}, the residual_blocks"
            )
        if self.discriminator_shared_layers < 0:
            raise ConfigError(f"discriminator_shared_layers {self.discriminator_shared_layers} must not be negative")
        check_not_negative(self, "adversarial_weight", "kl_weight", "reconstruction_weight", "cycle_weight")
        if self.adversarial_weight == 0:
            raise ConfigError("adversarial_weight must be positive: no other loss trains the translations")
