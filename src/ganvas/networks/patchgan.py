"""Patch discriminators: PatchGAN and, at one pixel, PixelGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.hardware.device import HAS_AVX512
from ganvas.networks.blocks import ConvBlock, Norm, initialize, needs_bias
from ganvas.networks.convolutions import Blur, receptive_field


class Discriminator(nn.Module):
    """Base class of patch discriminators: convolution blocks from images to a map of raw scores, without a sigmoid."""

    def __init__(self, blocks: list[ConvBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        initialize(self)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(kernel, stride) of each convolution and blur."""
        layers = []
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            assert isinstance(block.conv, nn.Conv2d)
            layers.append((block.conv.kernel_size[0], block.conv.stride[0]))
            layers += [(3, 2)] if isinstance(block.blur, Blur) else []
        return layers

    @property
    def receptive_field(self) -> int:
        """Receptive field of a score along one axis, in pixels."""
        return receptive_field(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, 1, h, w), any real number, higher is more real."""
        return self.features(images)[-1]

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, input_channels, H, W) in [-1, 1] -> the outputs of all blocks, (N, C, h, w); the last are the scores."""
        output = images
        if images.device.type == "cpu" and HAS_AVX512:  # 10 % faster in float32 at batch size 8
            output = images.contiguous(memory_format=torch.channels_last)
        outputs = []
        for block in self.blocks:
            output = block(output)
            outputs.append(output)
        return outputs


class PatchGAN(Discriminator):
    """`num_layers` 4x4 convolutions of stride 2, then two of stride 1 (Isola et al. 2017, Sec. 6.1.2).

    The receptive fields of 1 to 5 layers are 16, 34, 70, 142 and 286 pixels; 3 layers are C64-C128-C256-C512, with
    30x30 scores for 256x256 pixels.

    Args:
        input_channels: of the images scored; a conditional discriminator takes input and output concatenated.
        width: channels of the first layer; they double at each layer, up to eight times as many.
        num_layers: strided convolutions, at least 1.
        norm: after every convolution but the first and the last.
        bias: whether convolutions before a norm have a bias; unset: unless it is a batch norm, which has its own
            offset.
        antialias: downsample by a blur after a convolution of stride 1 (Zhang 2019) instead of by a stride.
    """

    def __init__(
        self,
        input_channels: int,
        *,
        width: int = 64,
        num_layers: int = 3,
        norm: Norm = "batch",
        bias: bool | None = None,
        antialias: bool = False,
    ) -> None:
        channels = [width * min(2**layer, 8) for layer in range(num_layers + 1)]
        bias = needs_bias(norm) if bias is None else bias
        blocks = [
            ConvBlock(
                input_channels,
                width,
                kernel=4,
                stride=2,
                padding=1,
                activation=nn.LeakyReLU(0.2, inplace=True),
                antialias=antialias,
            )
        ]
        for layer in range(1, num_layers + 1):
            block = ConvBlock(
                channels[layer - 1],
                channels[layer],
                kernel=4,
                stride=2 if layer < num_layers else 1,
                padding=1,
                norm=norm,
                bias=bias,
                activation=nn.LeakyReLU(0.2, inplace=True),
                antialias=antialias,
            )
            blocks.append(block)
        blocks.append(ConvBlock(channels[-1], 1, kernel=4, padding=1))
        super().__init__(blocks)
        self.smallest_input = smallest_input(num_layers)


class PixelGAN(Discriminator):
    """1x1 convolutions C64-C128-1: each pixel is scored independently (Isola et al. 2017, Sec. 6.1.2).

    Args:
        input_channels: input channels of the images scored.
        width: channels of the first layer.
        norm: after the second convolution.
        bias: of the second convolution and, as in the released PyTorch code, of the last; unset: unless batch norm.
    """

    smallest_input = 2

    def __init__(self, input_channels: int, *, width: int = 64, norm: Norm = "batch", bias: bool | None = None) -> None:
        bias = needs_bias(norm) if bias is None else bias
        blocks = [
            ConvBlock(input_channels, width, kernel=1, activation=nn.LeakyReLU(0.2, inplace=True)),
            ConvBlock(width, 2 * width, kernel=1, norm=norm, bias=bias, activation=nn.LeakyReLU(0.2, inplace=True)),
            ConvBlock(2 * width, 1, kernel=1, bias=bias),
        ]
        super().__init__(blocks)


def smallest_input(num_layers: int) -> int:
    """Return the smallest side in pixels that leaves 2x2 values for the last norm and one score: s / 2**n - 2 >= 1."""
    return 3 << num_layers
