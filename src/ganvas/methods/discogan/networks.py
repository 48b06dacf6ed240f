"""Networks of DiscoGAN."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganvas.networks.blocks import ConvBlock
from ganvas.networks.convolutions import DoublingConvolution
from ganvas.networks.generator import Generator
from ganvas.networks.receptive_field import Interval, before_convolution, before_transposed, context

NUM_HALVINGS = 4
SMALLEST = 64
"""Pixels a side that leave 4x4 features to the layers that do not pad."""


def encoder(input_channels: int, width: int) -> nn.ModuleList:
    """Build 4x4 convolutions of stride 2 to 1, 2, 4, 8 times `width` channels; batch norm after all but the first."""
    channels = [input_channels, *(width * 2**level for level in range(NUM_HALVINGS))]
    return nn.ModuleList(
        ConvBlock(
            before,
            after,
            kernel=4,
            stride=2,
            padding=1,
            norm="batch" if level > 0 else "none",
            bias=False,
            activation=nn.LeakyReLU(0.2, inplace=True),
        )
        for level, (before, after) in enumerate(pairwise(channels))
    )


class DiscoGenerator(Generator):
    """Four halvings and four doublings, batch norm but for the first and the last layer (Kim et al. 2017, Fig. 3).

    The networks of the paper see and make pictures in [0, 1], by a sigmoid: inside this one they still do, for
    2 sigmoid(x) - 1 is tanh(x / 2). Weights start as torch's do, as in the released code.

    Args:
        input_channels: channels of the images given, in [-1, 1].
        output_channels: channels of the images made, in [-1, 1].
        width: channels of the first layer.
        bottleneck: channels of a 4x4 convolution without padding in the middle, and of the transposed one after it,
            by which every place of a 64-pixel picture sees all of it; 0: none.
    """

    size_multiple: int = 2**NUM_HALVINGS

    def __init__(self, input_channels: int, output_channels: int, *, width: int = 64, bottleneck: int = 0) -> None:
        super().__init__(norm="batch", residual=False)
        self.bottleneck = bottleneck
        self.encode_blocks = encoder(input_channels, width)
        deepest = width * 2 ** (NUM_HALVINGS - 1)
        self.middle = nn.Sequential()
        if bottleneck:
            self.middle = nn.Sequential(
                nn.Conv2d(deepest, bottleneck, 4, bias=False),
                nn.BatchNorm2d(bottleneck),
                nn.LeakyReLU(0.2, inplace=True),
                nn.ConvTranspose2d(bottleneck, deepest, 4, bias=False),
                nn.BatchNorm2d(deepest),
                nn.ReLU(inplace=True),
            )
        channels = [width * 2**level for level in reversed(range(NUM_HALVINGS))]
        self.decode_blocks = nn.ModuleList(
            nn.Sequential(DoublingConvolution(before, after, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
            for before, after in pairwise(channels)
        )
        self.last = DoublingConvolution(width, output_channels, bias=False)

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The convolution that makes the image."""
        return self.last

    @property
    def context(self) -> int:
        """Pixels around an output pixel that can reach it, once training is over and batch norm's statistics stand."""
        return context(self.needed_inputs, period=self.size_multiple)

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the needed inputs through the deepest features."""
        for _ in range(NUM_HALVINGS):
            needed = before_transposed(needed, kernel=4, stride=2, padding=1)
        if self.bottleneck:
            needed = before_transposed(needed, kernel=4, stride=1, padding=0)
            needed = before_convolution(needed, kernel=4, stride=1, padding=0)
        for _ in range(NUM_HALVINGS):
            needed = before_convolution(needed, kernel=4, stride=2, padding=1)
        return needed

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W) in [-1, 1]; H, W multiples of 16.

        With a bottleneck H and W are at least 64.
        """
        features = unit(images)
        for block in [*self.encode_blocks, self.middle, *self.decode_blocks]:
            features = block(features)
        return torch.tanh(self.last(features) / 2)


class DiscoDiscriminator(nn.Module):
    """The generator's encoder, then one 4x4 convolution without padding: one score of 64 pixels, more of larger ones.

    Args:
        input_channels: of the images scored.
        width: channels of the first layer.
    """

    def __init__(self, input_channels: int, *, width: int = 64) -> None:
        super().__init__()
        self.blocks = encoder(input_channels, width)
        self.last = nn.Conv2d(width * 2 ** (NUM_HALVINGS - 1), 1, 4, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, input_channels, H, W) in [-1, 1], at least 64 pixels a side.

        Returns:
            (N, 1, h, w), any real number, higher is more real; and what comes out of the second, third and fourth
            activation, (N, C, h, w) each.
        """
        features = [unit(images)]
        for block in self.blocks:
            features.append(block(features[-1]))
        return self.last(features[-1]), features[2:]


def unit(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return (images + 1) / 2
