"""The settings of each method, as frozen values, one file a method. No torch here: the command line reads them."""

from ganvas.methods.config.cogan import CoGANConfig
from ganvas.methods.config.cut import CUTConfig
from ganvas.methods.config.cyclegan import CycleGANConfig
from ganvas.methods.config.discogan import DiscoGANConfig
from ganvas.methods.config.domain_gan import DomainGANConfig
from ganvas.methods.config.dualgan import DualGANConfig
from ganvas.methods.config.pix2pix import Pix2PixConfig
from ganvas.methods.config.super_resolution import SRGANConfig, SRResNetConfig
from ganvas.methods.config.unit import UNITConfig
from ganvas.methods.config.vae import VAEConfig, VAEGANConfig
from ganvas.methods.config.words import (
    OPPOSITE,
    Direction,
    Domain,
    Norm,
    Objective,
    ReceptiveField,
    Variant,
)

__all__ = [
    "OPPOSITE",
    "CUTConfig",
    "CoGANConfig",
    "CycleGANConfig",
    "Direction",
    "DiscoGANConfig",
    "Domain",
    "DomainGANConfig",
    "DualGANConfig",
    "MethodConfig",
    "Norm",
    "Objective",
    "Pix2PixConfig",
    "ReceptiveField",
    "SRGANConfig",
    "SRResNetConfig",
    "UNITConfig",
    "VAEConfig",
    "VAEGANConfig",
    "Variant",
]

MethodConfig = (
    Pix2PixConfig
    | CycleGANConfig
    | CUTConfig
    | DiscoGANConfig
    | DualGANConfig
    | VAEConfig
    | VAEGANConfig
    | CoGANConfig
    | UNITConfig
    | DomainGANConfig
    | SRResNetConfig
    | SRGANConfig
)
"""The union of all methods' settings."""
