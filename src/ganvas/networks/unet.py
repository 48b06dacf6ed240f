"""The U-Net of pix2pix."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from ganvas.hardware.instructions import HAS_AVX512
from ganvas.networks.encoder_decoder import EncoderDecoder

WIDE, FEW_CHANNELS = 64, 256
"""From which width of its first layer a network is wide; up to how many channels its layers are outer ones."""


class UNet(EncoderDecoder):
    """The encoder-decoder with a skip from layer i to layer n - i (Isola et al. 2017, Sec. 3.2.1)."""

    has_skips: ClassVar[bool] = True

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W multiples of 2**depth."""
        features, skips = self.ordered(images), []
        for encode in self.encode_blocks:
            features = self.ordered(encode(features))
            skips.append(features)
        features = self.decode_blocks[0](skips.pop())
        for decode in self.decode_blocks[1:]:
            features = decode(beside(skips.pop(), features))
        return self.finish(images, features)

    def ordered(self, features: Tensor) -> Tensor:
        """Return features in the order that a CPU trains fastest in float32.

        With AVX-512 a wide network's outer layers have their channels last and its inner ones lie in planes. With less,
        planes are fastest everywhere: there oneDNN's gradient of the weights takes up to twice as long channels last.
        """
        narrow = self.width < WIDE  # its rounding stays the released code's
        if narrow or features.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not HAS_AVX512:
            return features
        last = features.shape[1] <= FEW_CHANNELS
        return features.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def beside(skip: Tensor, features: Tensor) -> Tensor:
    """Both as the channels of one tensor, in the skip's order of memory.

    Where that is channels-last, each gets back a dense gradient: a slice of the joint one would make the backward pass
    of a norm several times as long.
    """
    if skip.is_contiguous():
        return torch.cat([skip, features], dim=1)
    features = features.contiguous(memory_format=torch.channels_last)
    for part in (skip, features):
        if part.requires_grad and not torch.compiler.is_compiling():
            register: Callable[[Callable[[Tensor], Tensor]], object] = part.register_hook
            register(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return torch.cat([skip, features], dim=1)
