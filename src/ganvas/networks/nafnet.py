"""NAFNet: a U-shaped restoration network without nonlinear activations, with gates and channel attention.

Chen et al. 2022, "Simple Baselines for Image Restoration", arXiv:2204.04676. Parameters have the names of the released
code, and sizes that the network cannot halve are padded with zeros as there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.convolutions import Interval, before_convolution, before_convolutions, before_nearest
from ganvas.networks.generators import UnitRangeGenerator, middle

EXPANSION = 2
"""Channels inside a block as a multiple of its width (Sec. 4.1)."""


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, with a scale and an offset for each channel, in their precision."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        last = features.to(self.weight.dtype).permute(0, 2, 3, 1)
        return functional.layer_norm(last, self.weight.shape, self.weight, self.bias, eps=1e-6).permute(0, 3, 1, 2)


class NAFBlock(nn.Module):
    """Two residual parts (Fig. 3d): depthwise convolution with channel attention, and a gated 1x1 network.

    The factors `beta` and `gamma` of the two parts start at 0, so that a new block is the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, 1, 1, groups=inner)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner // 2, inner // 2, 1))
        self.conv3 = nn.Conv2d(inner // 2, channels, 1)
        self.conv4 = nn.Conv2d(channels, inner, 1)
        self.conv5 = nn.Conv2d(inner // 2, channels, 1)
        self.beta, self.gamma = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        gated = simple_gate(self.conv2(self.conv1(self.norm1(features))))
        features = features + self.conv3(gated * self.sca(gated)) * self.beta  # Eq. 5
        residual: Tensor = self.conv5(simple_gate(self.conv4(self.norm2(features))))
        return features + residual * self.gamma


def simple_gate(features: Tensor) -> Tensor:
    """Return the product of both halves of the channels (Eq. 4)."""
    first, second = features.chunk(2, dim=1)
    return first * second


class NAFNet(UnitRangeGenerator):
    """NAFNet, added to its input.

    Args:
        input_channels: channels of the input images, at least as many as of the output.
        output_channels: channels of the output images.
        scale: upscaling factor along each side; 1 is the paper's. Otherwise a pixel shuffle follows the last
            convolution and the input is upscaled bilinearly, as in NAFSSR (Chu et al. 2022, arXiv:2204.08714).
        width: channels at full size; they double at each level.
        encoder_blocks: number of blocks of each level before downsampling.
        middle_blocks: number of blocks at the smallest size.
        decoder_blocks: number of blocks of each level after upsampling, smallest first; as many entries.
        unshuffle: factor of an initial pixel-unshuffle, so that all levels work on a smaller picture; 1 is the paper's.

    Attributes:
        wide_convolutions: number of 3x3 convolutions of a block.
    """

    wide_convolutions = 1

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        scale: int = 1,
        width: int = 32,
        encoder_blocks: Sequence[int] = (2, 2, 4, 8),
        middle_blocks: int = 12,
        decoder_blocks: Sequence[int] = (2, 2, 2, 2),
        unshuffle: int = 1,
    ) -> None:
        super().__init__(scale=scale, size_multiple=1, residual=True)
        self.output_channels, self.unshuffle = output_channels, unshuffle
        self.stride: int = unshuffle * 2 ** len(encoder_blocks)
        sizes = [width * 2**level for level in range(len(encoder_blocks) + 1)]
        self.intro = nn.Conv2d(input_channels * unshuffle**2, width, 3, 1, 1)
        self.ending = nn.Conv2d(width, output_channels * (scale * unshuffle) ** 2, 3, 1, 1)
        self.encoders = nn.ModuleList(
            self.make_blocks(count, size) for count, size in zip(encoder_blocks, sizes, strict=False)
        )
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, 2) for size in sizes[:-1])
        self.middle_blks = self.make_blocks(middle_blocks, sizes[-1])
        above = sizes[-2::-1]
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * size, 4 * size, 1, bias=False), nn.PixelShuffle(2)) for size in above
        )
        self.decoders = nn.ModuleList(
            self.make_blocks(count, size) for count, size in zip(decoder_blocks, above, strict=True)
        )

    def make_blocks(self, count: int, channels: int) -> nn.Sequential:
        """Return the blocks of a level."""
        return nn.Sequential(*(NAFBlock(channels) for _ in range(count)))

    @property
    def last_layer(self) -> nn.Conv2d:
        """The last convolution."""
        return self.ending

    @property
    def context(self) -> int | None:
        """None, because channel attention averages over the whole picture."""
        return None

    def initialize(self) -> None:
        """Keep PyTorch's initialization, as the released code; every block starts as the identity."""

    def restore(self, pictures: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [0, 1] -> (N, output_channels, scale H, scale W), not clamped."""
        # 1. Encode, and keep the features of each level.
        inputs = self.padded(pictures)
        if self.unshuffle > 1:
            inputs = functional.pixel_unshuffle(inputs, self.unshuffle)
        features, skips = self.intro(inputs), []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(encoder(features))
            features = down(skips[-1])
        features = self.middle_blks(features)
        # 2. Decode: add the encoder's features of the same size.
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            features = decoder(up(features) + skips.pop())
        output, base = self.ending(features), middle(pictures, self.output_channels)
        if self.scale * self.unshuffle > 1:
            output = functional.pixel_shuffle(output, self.scale * self.unshuffle)
        if self.scale > 1:
            base = functional.interpolate(base, scale_factor=self.scale, mode="bilinear")
        return self.cropped(output, base) + base

    def padded(self, pictures: Tensor) -> Tensor:
        """Append rows and columns of zeros up to multiples of `stride`, as the released code."""
        below, beside = (-side % self.stride for side in pictures.shape[-2:])
        return functional.pad(pictures, (0, beside, 0, below)) if below or beside else pictures

    def cropped(self, output: Tensor, base: Tensor) -> Tensor:
        """Return the rows and columns of the output that the base has."""
        height, width = base.shape[-2:]
        return output[..., :height, :width]

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels on which outputs depend through the smallest level, ignoring channel attention."""
        needed = before_nearest(needed, factor=self.scale * self.unshuffle)
        needed = before_convolutions(needed, 1)
        for decoder in reversed(self.decoders):
            needed = before_nearest(self.before_blocks(needed, decoder), factor=2)
        needed = self.before_blocks(needed, self.middle_blks)
        for encoder in reversed(self.encoders):
            needed = before_convolution(needed, kernel=2, stride=2, padding=0)
            needed = self.before_blocks(needed, encoder)
        first, last = before_convolutions(needed, 1)
        return first * self.unshuffle, last * self.unshuffle + self.unshuffle - 1

    def before_blocks(self, needed: Interval, blocks: nn.Module) -> Interval:
        """Return the inputs of a level's blocks that the outputs `needed` depend on."""
        assert isinstance(blocks, nn.Sequential)
        return before_convolutions(needed, self.wide_convolutions * len(blocks))
