"""Translation methods, one folder per paper, and their configs; imports no torch, because the command line reads them.

Each folder contains `config` and `method`, whose `METHOD` is the class. Installed packages add methods through the
entry point `ganvas.methods`.
"""

from ganvas.methods.cogan.config import CoGANConfig
from ganvas.methods.cut.config import CUTConfig
from ganvas.methods.cyclegan.config import CycleGANConfig
from ganvas.methods.discogan.config import DiscoGANConfig
from ganvas.methods.domain_gan.config import DomainGANConfig
from ganvas.methods.dualgan.config import DualGANConfig
from ganvas.methods.pix2pix.config import Pix2PixConfig
from ganvas.methods.pix2pix_hd.config import Pix2PixHDConfig
from ganvas.methods.real_esrgan.config import RealESRGANConfig
from ganvas.methods.srgan.config import SRGANConfig
from ganvas.methods.srresnet.config import SRResNetConfig
from ganvas.methods.unit.config import UNITConfig
from ganvas.methods.vae.config import VAEConfig
from ganvas.methods.vae_gan.config import VAEGANConfig

__all__ = [
    "CUTConfig",
    "CoGANConfig",
    "CycleGANConfig",
    "DiscoGANConfig",
    "DomainGANConfig",
    "DualGANConfig",
    "MethodConfig",
    "Pix2PixConfig",
    "Pix2PixHDConfig",
    "RealESRGANConfig",
    "SRGANConfig",
    "SRResNetConfig",
    "UNITConfig",
    "VAEConfig",
    "VAEGANConfig",
]

MethodConfig = (
    Pix2PixConfig
    | Pix2PixHDConfig
    | CycleGANConfig
    | CUTConfig
    | DiscoGANConfig
    | DualGANConfig
    | VAEConfig
    | VAEGANConfig
    | DomainGANConfig
    | CoGANConfig
    | UNITConfig
    | SRResNetConfig
    | SRGANConfig
    | RealESRGANConfig
)
"""Union of the configs of the methods of this package."""
