"""ResNet generator of CycleGAN."""

from __future__ import annotations

from torch import Tensor, nn

from ganvas.networks.blocks import (
    ConvBlock,
    Norm,
    Upsampling,
    before_upsampling,
    make_norm,
    needs_bias,
    upsampling_layer,
)
from ganvas.networks.generator import Generator
from ganvas.networks.receptive_field import Interval, before_convolution

NUM_HALVINGS = 2


class ResidualBlock(nn.Module):
    """Two reflect-padded 3x3 convolutions added to their input: `Rk`; no activation after the sum."""

    def __init__(self, channels: int, *, norm: Norm, bias: bool, dropout: float) -> None:
        super().__init__()
        self.first = ConvBlock(
            channels,
            channels,
            kernel=3,
            padding=1,
            reflect=True,
            norm=norm,
            bias=bias,
            activation=nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout(dropout)
        self.second = ConvBlock(channels, channels, kernel=3, padding=1, reflect=True, norm=norm, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        residual: Tensor = self.second(self.dropout(self.first(features)))
        return features + residual


class UpsampleBlock(nn.Module):
    """3x3 convolution of stride 1/2, norm, ReLU: `uk`."""

    def __init__(
        self, input_channels: int, output_channels: int, *, norm: Norm, bias: bool, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.conv = upsampling_layer(input_channels, output_channels, kernel=3, bias=bias, upsampling=upsampling)
        self.norm = make_norm(norm, output_channels)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        upsampled: Tensor = self.activation(self.norm(self.conv(features)))
        return upsampled


class ResNet(Generator):
    """c7s1-64, d128, d256, R256 x 6 or 9, u128, u64, c7s1-3, tanh (Zhu et al. 2017, arXiv:1703.10593, Sec. 7.2).

    Args:
        input_channels: channels of the images given, in [-1, 1].
        output_channels: channels of the images made, in [-1, 1].
        width: channels of the first layer.
        num_blocks: residual blocks; the paper's 6 at 128 pixels, 9 at 256.
        norm: after every convolution but the last.
        dropout: probability, between the two convolutions of a residual block; CycleGAN has none.
        bias: of convolutions that a norm may follow; unset: unless a batch norm does, which has its own offset.
        upsampling: transposed 3x3 convolutions, or a nearest-neighbor or bilinear resize and a 3x3 convolution.
        antialias: halve by a blur after a convolution of stride 1 (Zhang 2019), instead of by a stride.
        residual: add the raw output to the input, instead of tanh.
    """

    size_multiple: int = 2**NUM_HALVINGS

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        width: int = 64,
        num_blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        bias: bool | None = None,
        upsampling: Upsampling = "transposed",
        antialias: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__(norm=norm, residual=residual)
        self.upsampling, self.antialias = upsampling, antialias
        bias = needs_bias(norm) if bias is None else bias
        self.first = ConvBlock(
            input_channels,
            width,
            kernel=7,
            padding=3,
            reflect=True,
            norm=norm,
            bias=bias,
            activation=nn.ReLU(inplace=True),
        )
        self.encode_blocks = nn.ModuleList(
            ConvBlock(
                channels,
                2 * channels,
                kernel=3,
                stride=2,
                padding=1,
                norm=norm,
                bias=bias,
                activation=nn.ReLU(inplace=True),
                antialias=antialias,
            )
            for channels in (width, 2 * width)
        )
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(4 * width, norm=norm, bias=bias, dropout=dropout) for _ in range(num_blocks)
        )
        self.decode_blocks = nn.ModuleList(
            UpsampleBlock(channels, channels // 2, norm=norm, bias=bias, upsampling=upsampling)
            for channels in (4 * width, 2 * width)
        )
        self.last = ConvBlock(width, output_channels, kernel=7, padding=3, reflect=True)
        self.initialize()

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The convolution that makes the image."""
        return self.last.conv

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the chain from the last convolution back to the first."""
        needed = before_convolution(needed, kernel=7, stride=1, padding=3)
        for _ in self.decode_blocks:
            needed = before_upsampling(needed, kernel=3, upsampling=self.upsampling)
        for _ in range(2 * len(self.residual_blocks)):
            needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        for _ in self.encode_blocks:
            needed = before_convolution(needed, kernel=3, stride=2, padding=1)
            if self.antialias:  # that was the blur
                needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        return before_convolution(needed, kernel=7, stride=1, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W multiples of 4, at least 8."""
        features = self.first(images)
        for block in [*self.encode_blocks, *self.residual_blocks, *self.decode_blocks]:
            features = block(features)
        return self.finish(images, self.last(features))
