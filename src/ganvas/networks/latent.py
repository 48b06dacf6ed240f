"""Layers between pictures and latent vectors: 5x5 downsampling and upsampling blocks, and a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.blocks import ConvBlock, Norm, needs_bias
from ganvas.networks.convolutions import ResizeConvolution

Upsampling = Literal["transposed", "resize"]


class FullyConnected(nn.Linear):
    """Fully connected layer between features: (N, C, h, w) with C h w = `input_size` -> (N, output_size, 1, 1).

    The output is a feature map of one pixel, so that `BatchNorm2d` can follow.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) or (N, input_size) -> (N, output_size, 1, 1)."""
        flat = features.flatten(1).to(self.weight.dtype)  # convolutions may be of lower precision
        return functional.linear(flat, self.weight, self.bias)[..., None, None]


class FullyConnectedBlock(nn.Sequential):
    """Fully connected layer, batch norm, ReLU."""

    def __init__(self, input_size: int, output_size: int) -> None:
        layers = FullyConnected(input_size, output_size, bias=False), nn.BatchNorm2d(output_size), nn.ReLU(inplace=True)
        super().__init__(*layers)


class DoublingBlock(nn.Sequential):
    """5x5 transposed convolution of stride 2, or a resize-convolution, then batch norm and ReLU."""

    def __init__(self, input_channels: int, output_channels: int, *, upsampling: Upsampling) -> None:
        conv: nn.Module
        if upsampling == "resize":
            conv = ResizeConvolution(input_channels, output_channels, bias=False)
        else:
            conv = nn.ConvTranspose2d(input_channels, output_channels, 5, 2, 2, output_padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(output_channels), nn.ReLU(inplace=True))


def halving_block(
    input_channels: int, output_channels: int, *, norm: Norm = "batch", activation: nn.Module | None = None
) -> ConvBlock:
    """Build a downsampling block: 5x5 convolution of stride 2, norm, activation (unset: ReLU)."""
    return ConvBlock(
        input_channels,
        output_channels,
        kernel=5,
        stride=2,
        padding=2,
        norm=norm,
        bias=needs_bias(norm),
        activation=nn.ReLU(inplace=True) if activation is None else activation,
    )


class LatentDecoder(nn.Module):
    """Decoder of latent vectors: a fully connected layer to small feature maps, and upsampling blocks.

    Args:
        latent_size: size of a latent vector.
        output_channels: output channels of the pictures.
        channels: channels of the small feature maps, then after each upsampling; batch norm and ReLU after each.
        image_size: height and width of the pictures, multiples of 2 to the power of the number of upsamplings.
        doubles_last: whether the last layer upsamples too.
        upsampling: of the other layers; `resize` is nearest-neighbor upsampling followed by a convolution, which avoids
            checkerboards.
    """

    def __init__(
        self,
        latent_size: int,
        output_channels: int,
        *,
        channels: Sequence[int],
        image_size: tuple[int, int],
        doubles_last: bool,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        halvings = len(channels) - 1 + doubles_last
        height, width = (side // 2**halvings for side in image_size)
        self.small = (channels[0], height, width)
        self.connected = FullyConnectedBlock(latent_size, channels[0] * height * width)
        self.doublings = nn.Sequential(
            *(DoublingBlock(before, after, upsampling=upsampling) for before, after in pairwise(channels))
        )
        self.last: nn.Module
        if doubles_last:
            self.last = nn.ConvTranspose2d(channels[-1], output_channels, 5, 2, 2, output_padding=1)
        else:
            self.last = nn.Conv2d(channels[-1], output_channels, 5, 1, 2)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, latent_size) -> (N, output_channels, H, W), unbounded; apply tanh for [-1, 1]."""
        features = self.connected(latents).unflatten(1, self.small).flatten(3)
        output: Tensor = self.last(self.doublings(features))
        return output


def initialize_by_fan_in(network: nn.Module) -> None:
    """Initialize weights from N(0, 1 / fan-in) and biases to 0, which preserves the scale of the features."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = module.weight[0].numel()
            if isinstance(
                module, nn.ConvTranspose2d
            ):  # each output depends on 1 / stride^2 of the taps of every channel
                fan_in = module.weight[:, 0].numel() // (module.stride[0] * module.stride[1])
            nn.init.normal_(module.weight, 0.0, fan_in**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
