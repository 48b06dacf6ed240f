"""Image-to-image generators: base class, encoder-decoder and U-Net of pix2pix, ResNet of CycleGAN."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganvas.errors import ImageError
from ganvas.hardware.device import HAS_AVX512
from ganvas.networks.blocks import (
    ConvBlock,
    DecodeBlock,
    EncodeBlock,
    Norm,
    ResidualBlock,
    UpsampleBlock,
    Upsampling,
    at_least_float,
    before_upsampling,
    initialize,
    needs_bias,
)
from ganvas.networks.convolutions import Interval, before_convolution, context


class Generator(nn.Module, ABC):
    """Base class of generators.

    Attributes:
        scale: how many times as large as the input the output is.
        size_multiple, smallest_side: height and width of the input must be multiples of the first, and not smaller.
        residual: the raw output is added to the input, without tanh; with several frames, to the middle one.
    """

    scale: int = 1
    size_multiple: int
    smallest_side: int = 1

    def __init__(self, *, norm: Norm, residual: bool) -> None:
        super().__init__()
        self.norm, self.residual = norm, residual

    @abstractmethod
    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels along one axis that the output pixels `needed` depend on, ignoring norms."""

    @property
    @abstractmethod
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution."""

    @property
    def context(self) -> int | None:
        """Distance in input pixels up to which inputs influence an output pixel; None if a norm uses the picture's."""
        if self.norm != "none":
            return None
        return context(self.needed_inputs, period=self.size_multiple, scale=self.scale)

    def initialize(self) -> None:
        """Initialize as Isola et al. 2017, Sec. 6.2; a residual generator starts as the identity (last weights 0)."""
        initialize(self)
        if self.residual:
            nn.init.zeros_(self.last_layer.weight)

    def finish(self, images: Tensor, raw: Tensor) -> Tensor:
        """Return tanh of the raw output, or the input plus it, not clamped (a clamp would stop the gradient)."""
        return middle(images, raw.shape[1]) + raw if self.residual else torch.tanh(raw)

    def check_size(self, images: Tensor) -> None:
        """Raise ImageError unless height and width suit the network."""
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ImageError(
                None,
                f"{height}x{width} pixels: this network needs multiples of {self.size_multiple}; "
                "pad the picture, or use ganvas.load, which pads and crops back",
            )


class UnitRangeGenerator(Generator):
    """Base class of generators that work in [0, 1], such as community restoration networks.

    `forward` converts from and to [-1, 1]. Folding the conversion into the first convolution would not be exact,
    because its zero padding is black in one range and gray in the other.
    """

    def __init__(self, *, scale: int, size_multiple: int, residual: bool = False) -> None:
        super().__init__(norm="none", residual=residual)
        self.scale, self.size_multiple = scale, size_multiple

    @abstractmethod
    def restore(self, pictures: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [0, 1] -> (N, output_channels, scale H, scale W), not clamped."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, scale H, scale W), not clamped."""
        return 2 * at_least_float(self.restore((images + 1) / 2)) - 1


PAPER_DROPOUT_LAYERS = range(3)  # CD512-CD512-CD512 (Isola et al. 2017, Sec. 6.1.1)


def middle(images: Tensor, channels: int) -> Tensor:
    """(N, C, H, W) -> (N, channels, H, W): the middle channels, which are those of the middle frame of a window."""
    extra = images.shape[1] - channels
    return images.narrow(1, extra // 2, channels) if extra else images


class EncoderDecoder(Generator):
    """Encoder-decoder of `depth` downsampling and upsampling blocks without skips (Isola et al. 2017, Sec. 6.1.1).

    Args:
        input_channels: channels of the input images, in [-1, 1].
        output_channels: channels of the output images, in [-1, 1].
        width: channels of the first layer; they double at each layer, up to eight times as many.
        depth: number of downsampling blocks; 8 reduces 256 pixels to 1.
        norm: after each convolution but the first, the last and the bottleneck, which may be 1x1 and would
            normalize to 0.
        dropout: probability, after the norm of the decoder layers `dropout_layers` (never of the last layer).
        dropout_layers: counted from the bottleneck; the first three are the paper's.
        bias: bias of convolutions before a norm; unset: unless it is a batch norm, which has its own offset.
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
        """The last convolution."""
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
"""Smallest width of a wide network, and largest number of channels of its outer layers."""


class UNet(EncoderDecoder):
    """The encoder-decoder with a skip from layer i to layer n - i (Isola et al. 2017, Sec. 3.2.1)."""

    has_skips: ClassVar[bool] = True

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W multiples of 2**depth."""
        # 1. Encode, and keep the output of each level.
        features, skips = self.ordered(images), []
        for encode in self.encode_blocks:
            features = self.ordered(encode(features))
            skips.append(features)
        # 2. Decode: the bottleneck has no skip; each further level receives the encoder's features of its size.
        features = self.decode_blocks[0](skips.pop())
        for decode in self.decode_blocks[1:]:
            features = decode(beside(skips.pop(), features))
        return self.finish(images, features)

    def ordered(self, features: Tensor) -> Tensor:
        """Return features in the memory format with which training in float32 on a CPU is fastest.

        With AVX-512 a wide network's outer layers are channels-last and its inner ones contiguous. With AVX2 the
        contiguous format is fastest everywhere: oneDNN's weight gradient takes up to twice as long in channels-last.
        """
        narrow = self.width < WIDE  # rounding equals the released code's
        if narrow or features.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not HAS_AVX512:
            return features
        last = features.shape[1] <= FEW_CHANNELS
        return features.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def beside(skip: Tensor, features: Tensor) -> Tensor:
    """Concatenate a skip and features along the channels, in the skip's memory format.

    In channels-last each input receives a dense gradient: a slice of the joint gradient would make the backward pass of
    a norm several times slower.
    """
    if skip.is_contiguous():
        return torch.cat([skip, features], dim=1)
    features = features.contiguous(memory_format=torch.channels_last)
    for part in (skip, features):
        if part.requires_grad and not torch.compiler.is_compiling():
            register: Callable[[Callable[[Tensor], Tensor]], object] = part.register_hook
            register(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return torch.cat([skip, features], dim=1)


NUM_HALVINGS = 2


class ResNet(Generator):
    """c7s1-64, d128, d256, R256 x 6 or 9, u128, u64, c7s1-3, tanh (Zhu et al. 2017, arXiv:1703.10593, Sec. 7.2).

    Args:
        input_channels: channels of the input images, in [-1, 1].
        output_channels: channels of the output images, in [-1, 1].
        width: channels of the first layer.
        num_blocks: residual blocks; the paper's 6 at 128 pixels, 9 at 256.
        num_halvings: downsampling convolutions, each of which doubles the channels; pix2pixHD has four.
        norm: after every convolution but the last.
        dropout: probability, between the two convolutions of a residual block; CycleGAN has none.
        bias: bias of convolutions before a norm; unset: unless it is a batch norm, which has its own offset.
        upsampling: transposed 3x3 convolutions, or a nearest-neighbor or bilinear resize and a 3x3 convolution.
        antialias: downsample by a blur after a convolution of stride 1 (Zhang 2019) instead of by a stride.
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
        num_halvings: int = NUM_HALVINGS,
        norm: Norm = "instance",
        dropout: float = 0.0,
        bias: bool | None = None,
        upsampling: Upsampling = "transposed",
        antialias: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__(norm=norm, residual=residual)
        self.width, self.upsampling, self.antialias = width, upsampling, antialias
        self.size_multiple, self.smallest_side = 2**num_halvings, 2 * 2**num_halvings  # where reflection needs 2 pixels
        widths = [width * 2**level for level in range(num_halvings)]
        bias = needs_bias(norm) if bias is None else bias
        relu = nn.ReLU(inplace=True)
        self.first = ConvBlock(
            input_channels, width, kernel=7, padding=3, reflect=True, norm=norm, bias=bias, activation=relu
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
            for channels in widths
        )
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(width * self.size_multiple, norm=norm, bias=bias, dropout=dropout) for _ in range(num_blocks)
        )
        self.decode_blocks = nn.ModuleList(
            UpsampleBlock(2 * channels, channels, norm=norm, bias=bias, upsampling=upsampling)
            for channels in reversed(widths)
        )
        self.last = ConvBlock(width, output_channels, kernel=7, padding=3, reflect=True)
        self.initialize()

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution."""
        return self.last.conv

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the needed inputs, propagated from the last convolution back to the first."""
        needed = before_convolution(needed, kernel=7, stride=1, padding=3)
        for _ in self.decode_blocks:
            needed = before_upsampling(needed, kernel=3, upsampling=self.upsampling)
        for _ in range(2 * len(self.residual_blocks)):
            needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        for _ in self.encode_blocks:
            needed = before_convolution(needed, kernel=3, stride=2, padding=1)
            if self.antialias:  # the blur
                needed = before_convolution(needed, kernel=3, stride=1, padding=1)
        return before_convolution(needed, kernel=7, stride=1, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W); H, W are 2 or more `size_multiple`."""
        return self.finish(images, self.last(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> what the last convolution sees, (N, width, H, W)."""
        # c7s1-k, then d2k and d4k at a quarter of the size, where the residual blocks are cheap; u2k and uk restore it.
        features: Tensor = self.first(images)
        for block in [*self.encode_blocks, *self.residual_blocks, *self.decode_blocks]:
            features = block(features)
        return features
