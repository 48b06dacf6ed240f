"""Compact, the fast generator of Real-ESRGAN: convolutions of one width, then a single pixel shuffle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.blocks import PReLU
from ganvas.networks.convolutions import Interval, before_convolutions, before_nearest
from ganvas.networks.generators import UnitRangeGenerator, middle

CompactActivation = Literal["prelu", "relu", "leaky_relu"]
SLOPE = 0.1
"""Negative slope of its LeakyReLU."""


class Compact(UnitRangeGenerator):
    """Compact generator, `SRVGGNetCompact` of the Real-ESRGAN release: Wang et al. 2021, arXiv:2107.10833.

    A VGG-style stack without skips at the size of the input; a pixel shuffle of its last convolution (Shi et al. 2016,
    arXiv:1609.05158) is added to the input, upscaled by nearest neighbor. Weights have PyTorch's default
    initialization, as in that release. Parameters have the names of the release: `body.0` is the first convolution,
    `body.1` its activation.

    Args:
        input_channels: channels of the input images: 1, or at least as many as of the output.
        output_channels: channels of the output images.
        scale: upscaling factor along each side.
        width: channels of each convolution but the last.
        num_blocks: convolutions between the first and the last; 16 and 32 in the released models.
        activation: `prelu` has one learned slope for each channel.
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        scale: int = 4,
        width: int = 64,
        num_blocks: int = 16,
        activation: CompactActivation = "prelu",
    ) -> None:
        super().__init__(scale=scale, size_multiple=1, residual=True)
        self.output_channels, self.num_convolutions = output_channels, num_blocks + 2
        self.body = nn.Sequential(
            nn.Conv2d(input_channels, width, 3, 1, 1),
            *inner_layers(width, num_blocks, activation),
            nn.Conv2d(width, output_channels * scale**2, 3, 1, 1),
        )

    @property
    def last_layer(self) -> nn.Conv2d:
        """The last convolution."""
        last = self.body[-1]
        assert isinstance(last, nn.Conv2d)
        return last

    def initialize(self) -> None:
        """Keep PyTorch's initialization."""

    def restore(self, pictures: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [0, 1] -> (N, output_channels, scale H, scale W), not clamped."""
        output = functional.pixel_shuffle(self.body(pictures), self.scale)
        # A single channel is added to all output channels.
        base = pictures if pictures.shape[1] == 1 else middle(pictures, self.output_channels)
        return output + functional.interpolate(base, scale_factor=self.scale, mode="nearest")

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels that the output pixels `needed` depend on, as in `Generator`."""
        needed = before_nearest(needed, factor=self.scale)  # a pixel shuffle
        return before_convolutions(needed, self.num_convolutions)


def inner_layers(width: int, num_blocks: int, activation: CompactActivation) -> Iterator[nn.Module]:
    """Yield an activation, then `num_blocks` convolutions, each with one."""
    yield make_activation(activation, width)
    for _ in range(num_blocks):
        yield nn.Conv2d(width, width, 3, 1, 1)
        yield make_activation(activation, width)


def make_activation(activation: CompactActivation, width: int) -> nn.Module:
    """Return an activation of `width` channels."""
    if activation == "prelu":
        return PReLU(width)
    return nn.ReLU(inplace=True) if activation == "relu" else nn.LeakyReLU(SLOPE, inplace=True)
