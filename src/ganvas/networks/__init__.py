"""Networks with plain keyword arguments: no files, no losses, no configuration objects."""

from ganvas.networks.blocks import as_in_training, in_evaluation
from ganvas.networks.generator import Generator
from ganvas.networks.patchgan import PatchGAN, PixelGAN
from ganvas.networks.receptive_field import receptive_field
from ganvas.networks.resnet import ResNet
from ganvas.networks.unet import PAPER_DROPOUT_LAYERS, EncoderDecoder, UNet

__all__ = [
    "PAPER_DROPOUT_LAYERS",
    "EncoderDecoder",
    "Generator",
    "PatchGAN",
    "PixelGAN",
    "ResNet",
    "UNet",
    "as_in_training",
    "in_evaluation",
    "receptive_field",
]
