"""RRDBNet, the generator of ESRGAN and Real-ESRGAN: residual-in-residual dense blocks, then upsampling by convolutions.

Parameters have the names of the Real-ESRGAN release, the layout of most community models.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.blocks import initialize_he
from ganvas.networks.convolutions import Interval, before_convolutions, before_nearest, bicubic
from ganvas.networks.generators import UnitRangeGenerator, middle

SLOPE = 0.2
"""Negative slope of LeakyReLU."""
RESIDUAL_SCALE = 0.2
"""beta: factor of a block's output before it is added (Wang et al. 2018, Fig. 4)."""
SMALL = 0.1
"""Factor of the initial weights of dense blocks (Sec. 3.1, "smaller initialization")."""


class DenseBlock(nn.Module):
    """Dense block: five 3x3 convolutions, each of which sees the input and all earlier results, added to the input.

    Args:
        width: channels of the input and of the output.
        growth: number of channels that each of the first four convolutions adds.
        dense_skips: add the input to the second result and the second to the fourth (ESRGAN+, Rakotonirina and
            Rasoanaivo 2020, arXiv:2001.08073, Sec. 3.1).
    """

    def __init__(self, width: int, growth: int, *, dense_skips: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, 1, 1)
        self.activation1, self.activation2, self.activation3, self.activation4 = (
            nn.LeakyReLU(SLOPE, inplace=True) for _ in range(4)
        )
        self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False) if dense_skips else None

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        first = self.activation1(self.conv1(features))
        second = self.activation2(self.conv2(torch.cat([features, first], 1)))
        if self.conv1x1 is not None:
            second = second + self.conv1x1(features)
        third = self.activation3(self.conv3(torch.cat([features, first, second], 1)))
        fourth = self.activation4(self.conv4(torch.cat([features, first, second, third], 1)))
        if self.conv1x1 is not None:
            fourth = fourth + second
        fifth: Tensor = self.conv5(torch.cat([features, first, second, third, fourth], 1))
        return features + RESIDUAL_SCALE * fifth


class RRDB(nn.Module):
    """Residual-in-residual dense block: three dense blocks, added to the input."""

    def __init__(self, width: int, growth: int, *, dense_skips: bool) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth, dense_skips=dense_skips) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(features)))
        return features + RESIDUAL_SCALE * residual


class RRDBNet(UnitRangeGenerator):
    """RRDBNet: Wang et al. 2018, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", arXiv:1809.00219.

    A convolution, `num_blocks` RRDBs and a convolution with a long skip, nearest-neighbor upsampling and a convolution
    for each factor, and two convolutions.

    Args:
        input_channels: channels of the input images.
        output_channels: channels of the output images.
        scale: upscaling factor along each side; a product of factors 2 and 3.
        width: channels between the blocks.
        num_blocks: number of RRDBs; 23 in the paper.
        growth: number of channels that a convolution of a dense block adds.
        unshuffle: factor of an initial pixel-unshuffle, so that the blocks work on a smaller picture and the upsampling
            restores its size as well (Wang et al. 2021, arXiv:2107.10833, Sec. 3.3): 2 at scale 2, 4 at 1.
        dense_skips: see `DenseBlock`.
        residual: add the bicubically upscaled input (with several frames, the middle one) to the output; not in the
            paper.
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        scale: int = 4,
        width: int = 64,
        num_blocks: int = 23,
        growth: int = 32,
        unshuffle: int = 1,
        dense_skips: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__(scale=scale, size_multiple=unshuffle, residual=residual)
        self.unshuffle, self.factors = unshuffle, enlargements(scale * unshuffle)
        self.conv_first = nn.Conv2d(input_channels * unshuffle**2, width, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(width, growth, dense_skips=dense_skips) for _ in range(num_blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, 1, 1)
        for number, _ in enumerate(self.factors, start=1):
            self.add_module(f"conv_up{number}", nn.Conv2d(width, width, 3, 1, 1))
        self.conv_hr = nn.Conv2d(width, width, 3, 1, 1)
        self.conv_last = nn.Conv2d(width, output_channels, 3, 1, 1)
        self.initialize()

    def initialize(self) -> None:
        """Initialize as He et al. 2015, dense blocks with a tenth of it; a residual network starts as interpolation."""
        initialize_he(self)
        for block in self.modules():
            if isinstance(block, DenseBlock):
                for layer in block.children():
                    if isinstance(layer, nn.Conv2d):
                        fan_in = layer.in_channels * layer.kernel_size[0] ** 2
                        nn.init.normal_(layer.weight, 0.0, SMALL * sqrt(2 / fan_in))
        if self.residual:
            nn.init.zeros_(self.conv_last.weight)

    @property
    def last_layer(self) -> nn.Conv2d:
        """The last convolution."""
        return self.conv_last

    def restore(self, pictures: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [0, 1] -> (N, output_channels, scale H, scale W), not clamped."""
        inputs = functional.pixel_unshuffle(pictures, self.unshuffle) if self.unshuffle > 1 else pictures
        features = self.conv_first(inputs)
        features = features + self.conv_body(self.body(features))
        for number, factor in enumerate(self.factors, start=1):
            enlarged = functional.interpolate(features, scale_factor=factor, mode="nearest")
            features = leaky_relu(self.get_submodule(f"conv_up{number}")(enlarged))
        output: Tensor = self.conv_last(leaky_relu(self.conv_hr(features)))
        if not self.residual:
            return output
        base = middle(pictures, output.shape[1])
        return output + (bicubic(base, self.scale) if self.scale > 1 else base)

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels that the output pixels `needed` depend on, as in `Generator`."""
        needed = before_convolutions(needed, 2)  # conv_last, conv_hr
        for factor in reversed(self.factors):
            needed = before_nearest(before_convolutions(needed, 1), factor=factor)
        first, last = before_convolutions(needed, 2 + 15 * len(self.body))  # three dense blocks of five convolutions
        return first * self.unshuffle, last * self.unshuffle + self.unshuffle - 1


def leaky_relu(features: Tensor) -> Tensor:
    """Apply LeakyReLU to the output of a convolution in place."""
    return functional.leaky_relu(features, SLOPE, inplace=True)


def enlargements(factor: int) -> tuple[int, ...]:
    """Return the factors 2 and 3 of which `factor` is the product, in the order in which they are applied."""
    factors = []
    for prime in (2, 3):
        while factor % prime == 0:
            factors.append(prime)
            factor //= prime
    assert factor == 1, "a product of 2 and 3"
    return tuple(factors)
