"""Networks with plain keyword arguments, independent of files, losses and config objects."""

from ganvas.networks.blocks import as_in_training, in_evaluation
from ganvas.networks.compact import Compact
from ganvas.networks.convolutions import receptive_field
from ganvas.networks.generators import (
    PAPER_DROPOUT_LAYERS,
    EncoderDecoder,
    Generator,
    ResNet,
    UNet,
    UnitRangeGenerator,
)
from ganvas.networks.nafnet import NAFNet
from ganvas.networks.patchgan import PatchGAN, PixelGAN
from ganvas.networks.residual_unet import ResidualUNet
from ganvas.networks.rrdb import RRDBNet
from ganvas.networks.unet_discriminator import UNetDiscriminator

__all__ = [
    "PAPER_DROPOUT_LAYERS",
    "Compact",
    "EncoderDecoder",
    "Generator",
    "NAFNet",
    "PatchGAN",
    "PixelGAN",
    "RRDBNet",
    "ResNet",
    "ResidualUNet",
    "UNet",
    "UNetDiscriminator",
    "UnitRangeGenerator",
    "as_in_training",
    "in_evaluation",
    "receptive_field",
]
