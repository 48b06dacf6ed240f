"""Configs of the methods and their union. No torch here: the command line reads them."""

from ganvas.methods import OPPOSITE, Direction, Domain, Norm, Objective, ReceptiveField, Variant
from ganvas.methods.cogan.config import CoGANConfig
from ganvas.methods.cut.config import CUTConfig
from ganvas.methods.cyclegan.config import CycleGANConfig
from ganvas.methods.discogan.config import DiscoGANConfig
from ganvas.methods.domain_gan.config import DomainGANConfig
from ganvas.methods.dualgan.config import DualGANConfig
from ganvas.methods.pix2pix.config import Pix2PixConfig
from ganvas.methods.srgan.config import SRGANConfig
from ganvas.methods.srresnet.config import SRResNetConfig
from ganvas.methods.unit.config import UNITConfig
from ganvas.methods.vae.config import VAEConfig
from ganvas.methods.vae_gan.config import VAEGANConfig

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
"""The union of all methods' configs."""
