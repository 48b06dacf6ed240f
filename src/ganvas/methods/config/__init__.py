"""The settings of each method, as frozen values, one file a method. No torch here: the command line reads them."""

from ganvas.methods.config.cyclegan import CycleGANConfig
from ganvas.methods.config.pix2pix import Pix2PixConfig
from ganvas.methods.config.words import (
    OPPOSITE,
    Direction,
    Domain,
    Norm,
    Objective,
    Precision,
    ReceptiveField,
    Variant,
)

__all__ = [
    "OPPOSITE",
    "CycleGANConfig",
    "Direction",
    "Domain",
    "MethodConfig",
    "Norm",
    "Objective",
    "Pix2PixConfig",
    "Precision",
    "ReceptiveField",
    "Variant",
]

MethodConfig = Pix2PixConfig | CycleGANConfig
"""The union of all methods' settings."""
