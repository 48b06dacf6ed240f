"""Residual U-Net: the U shape of NAFNet with plain residual blocks, added to its input.

In the manner of DRUNet: Zhang et al. 2021, "Plug-and-Play Image Restoration with Deep Denoiser Prior",
arXiv:2008.13751.
"""

from __future__ import annotations

from torch import Tensor, nn

from ganvas.networks.blocks import initialize_he
from ganvas.networks.convolutions import WideConvolution, context
from ganvas.networks.nafnet import NAFNet


class PlainBlock(nn.Module):
    """3x3 convolution, ReLU, 3x3 convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (WideConvolution(channels, channels, 3, 1, 1) for _ in range(2))
        self.activation = nn.ReLU()  # not in place, as the output of a `WideConvolution` may be a view

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        residual: Tensor = self.second(self.activation(self.first(features)))
        return features + residual


class ResidualUNet(NAFNet):
    """U-Net of plain residual blocks without norms, added to its input; arguments as for `NAFNet`.

    Unlike DRUNet, it enlarges by pixel shuffle, convolutions have biases, and the output is added to the input. Unlike
    NAFNet, an output pixel depends on the pixels around it alone, so tiles are exact, and all convolutions are dense,
    which a CPU computes faster than depthwise ones and layer norms. `unshuffle` makes it several times faster where the
    input has no detail of single pixels, such as a mosaic.
    """

    wide_convolutions = 2

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        scale: int = 1,
        width: int = 32,
        encoder_blocks: tuple[int, ...] = (2, 2, 2),
        middle_blocks: int = 2,
        decoder_blocks: tuple[int, ...] = (2, 2, 2),
        unshuffle: int = 1,
    ) -> None:
        super().__init__(
            input_channels,
            output_channels,
            scale=scale,
            width=width,
            encoder_blocks=encoder_blocks,
            middle_blocks=middle_blocks,
            decoder_blocks=decoder_blocks,
            unshuffle=unshuffle,
        )
        self.size_multiple = self.stride  # tiles start at multiples of it, so that they are halved like the whole
        self.initialize()

    def make_blocks(self, count: int, channels: int) -> nn.Sequential:
        """Return the blocks of a level."""
        return nn.Sequential(*(PlainBlock(channels) for _ in range(count)))

    def initialize(self) -> None:
        """Initialize as He et al. 2015; every block starts as the identity, and the network as its input."""
        initialize_he(self)
        for block in self.modules():
            if isinstance(block, PlainBlock):
                nn.init.zeros_(block.second.weight)
        nn.init.zeros_(self.ending.weight)

    @property
    def context(self) -> int:
        """Distance in input pixels up to which inputs influence an output pixel."""
        return context(self.needed_inputs, period=self.size_multiple, scale=self.scale)
