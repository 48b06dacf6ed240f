"""Networks with plain keyword arguments: no files, no losses, no configuration objects."""

from ganvas.networks.blocks import as_in_training, in_evaluation
from ganvas.networks.convolutions import receptive_field
from ganvas.networks.generators import PAPER_DROPOUT_LAYERS, EncoderDecoder, Generator, ResNet, UNet
from ganvas.networks.patchgan import PatchGAN, PixelGAN

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
