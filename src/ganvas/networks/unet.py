"""The U-Net of pix2pix."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ganvas.networks.encoder_decoder import EncoderDecoder


class UNet(EncoderDecoder):
    """The encoder-decoder with a skip from layer i to layer n - i (Isola et al. 2017, Sec. 3.2.1)."""

    has_skips: ClassVar[bool] = True

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W multiples of 2**depth."""
        features, skips = images, []
        for encode in self.encode_blocks:
            features = encode(features)
            skips.append(features)
        features = self.decode_blocks[0](skips.pop())
        for decode in self.decode_blocks[1:]:
            features = decode(torch.cat([skips.pop(), features], dim=1))
        return self.finish(images, features)
