"""Encoder-decoder and U-Net generators of pix2pix."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganvas.hardware.precision import HAS_AVX512
from ganvas.networks.blocks import (
    DecodeBlock,
    EncodeBlock,
    Norm,
    Upsampling,
    before_upsampling,
    needs_bias,
)
from ganvas.networks.generator import Generator
from ganvas.networks.receptive_field import Interval, before_convolution

PAPER_DROPOUT_LAYERS = range(3)  # CD512-CD512-CD512 (Isola et al. 2017, Sec. 6.1.1)


class EncoderDecoder(Generator):
    """Halve `depth` times, then double as often (Isola et al. 2017, Sec. 6.1.1), without skips.

    Args:
        input_channels: channels of the images given, in [-1, 1].
        output_channels: channels of the images made, in [-1, 1].
        width: channels of the first layer; they double each layer up to eight times as many.
        depth: halvings; 8 takes 256 pixels to 1.
        norm: after each convolution but the first, the last and the bottleneck, which may be 1x1 and would
            normalize to 0.
        dropout: probability, after the norm of the decoder layers `dropout_layers` (never of the last layer).
        dropout_layers: counted from the bottleneck; the first three are the paper's.
        bias: of convolutions that a norm may follow; unset: unless a batch norm does, which has its own offset.
        upsampling: transposed 4x4 convolutions, or nearest-neighbor resize and a 3x3 convolution.
        residual: add the raw output to the input, instead of tanh.
    """

    has_skips: ClassVar[bool] = False

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        width: int = 64,
        depth: int = 8,
        norm: Norm = "batch",
        dropout: float = 0.5,
        dropout_layers: range = PAPER_DROPOUT_LAYERS,
        bias: bool | None = None,
        upsampling: Upsampling = "transposed",
        residual: bool = False,
    ) -> None:
        super().__init__(norm=norm, residual=residual)
        self.bias, self.dropout_layers = needs_bias(norm) if bias is None else bias, dropout_layers
        self.width, self.depth, self.upsampling = width, depth, upsampling
        self.size_multiple = 2**depth
        channels = [width * min(2**level, 8) for level in range(depth)]  # C64-C128-C256-C512-C512-...
        self.encode_blocks = self._encoder(input_channels, channels)
        self.decode_blocks = self._decoder(output_channels, channels, dropout=dropout)
        self.initialize()

    def _encoder(self, input_channels: int, channels: list[int]) -> nn.ModuleList:
        blocks = nn.ModuleList()
        for level, (before, after) in enumerate(zip([input_channels, *channels], channels, strict=False)):
            norm: Norm = self.norm if 0 < level < self.depth - 1 else "none"
            blocks.append(EncodeBlock(before, after, norm=norm, bias=self.bias, activate=level > 0))
        return blocks

    def _decoder(self, output_channels: int, channels: list[int], *, dropout: float) -> nn.ModuleList:
        blocks = nn.ModuleList()
        for level in reversed(range(self.depth)):
            last, bottleneck = level == 0, level == self.depth - 1
            before = channels[level] * (2 if self.has_skips and not bottleneck else 1)
            block = DecodeBlock(
                before,
                output_channels if last else channels[level - 1],
                norm="none" if last else self.norm,
                bias=last or self.bias,
                dropout=dropout if len(blocks) in self.dropout_layers and not last else 0.0,
                upsampling=self.upsampling,
            )
            blocks.append(block)
        return blocks

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The convolution that makes the image."""
        conv = self.decode_blocks[-1].conv
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        return conv

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the needed inputs through the bottleneck, which include those of the skips."""
        for _ in range(self.depth):
            needed = before_upsampling(needed, kernel=4, upsampling=self.upsampling)
        for _ in range(self.depth):
            needed = before_convolution(needed, kernel=4, stride=2, padding=1)
        return needed

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W multiples of 2**depth."""
        features = images
        for block in [*self.encode_blocks, *self.decode_blocks]:
            features = block(features)
        return self.finish(images, features)


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
    """Concatenate both as the channels of one tensor, in the skip's order of memory.

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
