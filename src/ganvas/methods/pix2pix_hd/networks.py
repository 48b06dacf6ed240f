"""Networks of pix2pixHD: discriminators at several scales, and local enhancers around a global generator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks import Generator, PatchGAN, PixelGAN, ResNet
from ganvas.networks.blocks import (
    ConvBlock,
    Norm,
    ResidualBlock,
    UpsampleBlock,
    Upsampling,
    before_upsampling,
    needs_bias,
)
from ganvas.networks.convolutions import Interval, before_convolution


def halve(images: Tensor) -> Tensor:
    """Average-pool (N, C, H, W) 3x3 with stride 2, without the padding: (N, C, ceil(H / 2), ceil(W / 2))."""
    return functional.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)


class MultiScaleDiscriminator(nn.Module):
    """Discriminators of one architecture, each at half the resolution of the one before (Wang et al. 2018, Sec. 3.2).

    Args:
        scales: the discriminators, the finest first.
    """

    def __init__(self, scales: Sequence[PatchGAN | PixelGAN]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        """(N, C, H, W) in [-1, 1] -> for each scale the outputs of all layers, (N, C', h, w), the last the scores."""
        outputs = list[list[Tensor]]()
        for scale in self.scales:
            assert isinstance(scale, PatchGAN | PixelGAN)
            if outputs:
                images = halve(images)
            outputs.append(scale.features(images))
        return outputs


class LocalEnhancer(Generator):
    """Local enhancer G2 around a coarse generator G1 (Wang et al. 2018, arXiv:1711.11585, Sec. 3.2).

    c7s1-k, d2k at full resolution; the features of G1, of the picture at half the resolution, are added; R2k x 3, uk,
    c7s1-3, tanh. k is half the width of G1, whose last convolution is not used and removed.

    Args:
        coarse: the global generator, or another enhancer around it.
        input_channels: channels of the input images, in [-1, 1].
        output_channels: channels of the output images, in [-1, 1].
        num_blocks: residual blocks.
        norm: after every convolution but the last.
        dropout: probability, between the two convolutions of a residual block.
        bias: bias of convolutions before a norm; unset: unless it is a batch norm, which has its own offset.
        upsampling: as in `ResNet`.
        residual: add the raw output to the input, instead of tanh.
    """

    width: int
    last: ConvBlock

    def __init__(
        self,
        coarse: ResNet | LocalEnhancer,
        input_channels: int,
        output_channels: int,
        *,
        num_blocks: int = 3,
        norm: Norm = "instance",
        dropout: float = 0.0,
        bias: bool | None = None,
        upsampling: Upsampling = "transposed",
        residual: bool = False,
    ) -> None:
        super().__init__(norm=norm, residual=residual)
        bias = needs_bias(norm) if bias is None else bias
        self.width, self.upsampling, self.size_multiple = coarse.width // 2, upsampling, 2 * coarse.size_multiple
        width, self.smallest_side = self.width, 2 * self.size_multiple
        del coarse.last
        self.coarse = coarse
        relus = [nn.ReLU(inplace=True) for _ in range(2)]
        self.first = ConvBlock(
            input_channels, width, kernel=7, padding=3, reflect=True, norm=norm, bias=bias, activation=relus[0]
        )
        self.encode_block = ConvBlock(
            width, 2 * width, kernel=3, stride=2, padding=1, norm=norm, bias=bias, activation=relus[1]
        )
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(2 * width, norm=norm, bias=bias, dropout=dropout) for _ in range(num_blocks)
        )
        self.decode_block = UpsampleBlock(2 * width, width, norm=norm, bias=bias, upsampling=upsampling)
        self.last = ConvBlock(width, output_channels, kernel=7, padding=3, reflect=True)
        self.initialize()

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution."""
        return self.last.conv

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the needed inputs of both paths, for the coarse generator with its removed last convolution."""
        needed = before_convolution(needed, kernel=7, stride=1, padding=3)
        needed = before_upsampling(needed, kernel=3, upsampling=self.upsampling)
        for _ in range(2 * len(self.residual_blocks)):
            needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        own = before_convolution(needed, kernel=3, stride=2, padding=1)
        own = before_convolution(own, kernel=7, stride=1, padding=3)
        coarse = before_convolution(self.coarse.needed_inputs(needed), kernel=3, stride=2, padding=1)
        return min(own[0], coarse[0]), max(own[1], coarse[1])

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W are 2 or more `size_multiple`."""
        return self.finish(images, self.last(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> input of the last convolution, (N, width, H, W)."""
        features = self.encode_block(self.first(images)) + self.coarse.features(halve(images))
        for block in self.residual_blocks:
            features = block(features)
        decoded: Tensor = self.decode_block(features)
        return decoded


def halved_sizes(size: tuple[int, int], scales: int) -> list[tuple[int, int]]:
    """Return height and width at each scale after `halve`."""
    return [(-(-size[0] // 2**scale), -(-size[1] // 2**scale)) for scale in range(scales)]


def smallest_side(least: int, scales: int) -> int:
    """Return the smallest side in pixels that has at least `least` pixels at the coarsest scale."""
    return ((least - 1) << (scales - 1)) + 1
