"""Building blocks of the image-to-image networks: norms, convolution blocks, upsampling, MLP, initialization."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock
from typing import Literal

import torch
from torch import Tensor, nn

from ganvas.networks.convolutions import (
    BilinearConvolution,
    Blur,
    DoublingConvolution,
    HalvingConvolution,
    Interval,
    ReflectConvolution,
    ResizeConvolution,
    ScoreConvolution,
    WideConvolution,
    before_convolution,
    before_nearest,
    before_transposed,
)

Norm = Literal["batch", "instance", "none"]
Upsampling = Literal["transposed", "resize", "bilinear"]
LARGE = 2**18
"""Element count above which the fast kernel of instance norm is used; below, rounding equals the released code's."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Build a norm; batch norm has a scale and an offset, instance norm has neither, as in CycleGAN's released code."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return InstanceNorm(channels) if norm == "instance" else nn.Identity()


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm in the form that is fastest for the memory format of the features.

    Large contiguous features on a CPU: group norm with one channel per group. Channels last: batch norm of one picture,
    since PyTorch's own instance norm would copy to contiguous and back.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if features.device.type == "cpu" and features.is_contiguous() and features.numel() >= LARGE:
            return nn.functional.group_norm(features, features.shape[1], eps=self.eps)
        if len(features) == 1:
            return nn.functional.batch_norm(features, None, None, training=True)
        if features.is_contiguous() or not features.is_contiguous(memory_format=torch.channels_last):
            return super().forward(features)
        return torch.cat([nn.functional.batch_norm(one, None, None, training=True) for one in torch.split(features, 1)])


class PReLU(nn.PReLU):
    """PReLU with one learned slope, or one for each channel, in the precision of the features."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape and type."""
        return nn.functional.prelu(features, self.weight.to(features.dtype))


def at_least_float(raw: Tensor) -> Tensor:
    """Convert the 16-bit output of a last layer to float32, so that the activation does not merge gray levels."""
    return raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw


def needs_bias(norm: Norm) -> bool:
    """Return whether a convolution before that norm has a bias: a batch norm has its own offset."""
    return norm != "batch"


def initialize(network: nn.Module) -> None:
    """Initialize weights from N(0, 0.02), batch-norm scales from N(1, 0.02), biases to 0 (Isola et al. 2017)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialize_he(network: nn.Module) -> None:
    """Initialize weights from N(0, 2 / fan-in) (He et al. 2015) and biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # a transposed kernel has the layout (input channels, output channels, rows, columns)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out" if layer.transposed else "fan_in")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class _AsInTraining:
    """State of a network before threads run it in training mode."""

    def __init__(self, network: nn.Module) -> None:
        self.num_threads = 0
        self._was_training = {module: module.training for module in network.modules()}
        self._norms = [
            module for module in self._was_training if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
        ]
        for norm in self._norms:
            norm.track_running_stats = False
        network.train()

    def restore(self) -> None:
        for module, training in self._was_training.items():
            module.training = training
        for norm in self._norms:
            norm.track_running_stats = True


_AS_IN_TRAINING, _CHANGING = dict[nn.Module, _AsInTraining](), Lock()


@contextmanager
def as_in_training(network: nn.Module) -> Iterator[None]:
    """Run a network in training mode without updating it: Isola et al. 2017, Sec. 3.3, at test time.

    Dropout is active; batch norm uses batch statistics and leaves its running statistics unchanged. Every module's
    mode is restored. Several threads may use the context at once.
    """
    with _CHANGING:
        if network not in _AS_IN_TRAINING:
            _AS_IN_TRAINING[network] = _AsInTraining(network)
        _AS_IN_TRAINING[network].num_threads += 1
    try:
        yield
    finally:
        with _CHANGING:
            state = _AS_IN_TRAINING[network]
            state.num_threads -= 1
            if state.num_threads == 0:
                _AS_IN_TRAINING.pop(network).restore()


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Run a network in evaluation mode, so that no picture depends on others; modes are restored."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in was_training.items():
            module.training = training


class ConvBlock(nn.Module):
    """Convolution, norm, activation: `Ck` and `dk` in the papers' notation.

    With `antialias` a stride of 2 becomes a stride of 1 and, after the activation, a blur of stride 2.
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        reflect: bool = False,
        norm: Norm = "none",
        bias: bool = True,
        activation: nn.Module | None = None,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        blurred = antialias and stride == 2
        stride = 1 if blurred else stride
        convolution: type[nn.Conv2d] = WideConvolution if stride == 1 else nn.Conv2d
        convolution = ReflectConvolution if reflect else ScoreConvolution if output_channels == 1 else convolution
        self.conv = convolution(input_channels, output_channels, kernel, stride, padding, bias=bias)
        self.norm = make_norm(norm, output_channels)
        self.activation = nn.Identity() if activation is None else activation
        self.blur = Blur() if blurred else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        return self.after_convolution(self.conv(features))

    def after_convolution(self, features: Tensor) -> Tensor:
        """Apply the rest of the block to the output of its convolution."""
        activated: Tensor = self.blur(self.activation(self.norm(features)))
        return activated


class EncodeBlock(nn.Module):
    """Downsampling block: LeakyReLU (except in the first block), 4x4 convolution of stride 2, norm."""

    def __init__(
        self, input_channels: int, output_channels: int, *, norm: Norm, bias: bool, activate: bool = True
    ) -> None:
        super().__init__()
        self.activation = nn.LeakyReLU(0.2, inplace=True) if activate else nn.Identity()
        self.conv = HalvingConvolution(input_channels, output_channels, bias=bias)
        self.norm = make_norm(norm, output_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H / 2, W / 2)."""
        encoded: Tensor = self.norm(self.conv(self.activation(features)))
        return encoded


class DecodeBlock(nn.Module):
    """Upsampling block: ReLU, upsampling by 2, norm, dropout."""

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        norm: Norm,
        bias: bool,
        dropout: float,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        self.activation = nn.ReLU(inplace=True)
        self.conv = upsampling_layer(input_channels, output_channels, kernel=4, bias=bias, upsampling=upsampling)
        self.norm = make_norm(norm, output_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        decoded: Tensor = self.dropout(self.norm(self.conv(self.activation(features))))
        return decoded


def upsampling_layer(
    input_channels: int, output_channels: int, *, kernel: Literal[3, 4], bias: bool, upsampling: Upsampling
) -> nn.Module:
    """Return a layer that doubles height and width, transposed with the paper's kernel or by resizing."""
    if upsampling == "bilinear":
        return BilinearConvolution(input_channels, output_channels, bias=bias)
    if upsampling == "resize":
        return ResizeConvolution(input_channels, output_channels, bias=bias)
    if kernel == 4:
        return DoublingConvolution(input_channels, output_channels, bias=bias)
    return nn.ConvTranspose2d(input_channels, output_channels, kernel, 2, 1, output_padding=1, bias=bias)


def before_upsampling(needed: Interval, *, kernel: Literal[3, 4], upsampling: Upsampling) -> Interval:
    """Return the inputs of `upsampling_layer` that the outputs `needed` depend on."""
    if upsampling == "bilinear":
        return before_transposed(
            before_convolution(needed, kernel=3, stride=1, padding=1), kernel=4, stride=2, padding=1
        )
    if upsampling == "resize":
        return before_nearest(before_convolution(needed, kernel=3, stride=1, padding=1), factor=2)
    return before_transposed(needed, kernel=kernel, stride=2, padding=1)


class MLP(nn.Sequential):
    """Multilayer perceptron, (N, input_size) -> (N, output_size): hidden layers with ReLU, then a linear one.

    Args:
        input_size: size of an input vector.
        output_size: size of an output vector.
        width: width of each hidden layer.
        hidden_layers: number of hidden layers.
    """

    def __init__(self, input_size: int, output_size: int, *, width: int = 128, hidden_layers: int = 2) -> None:
        sizes = [input_size, *[width] * hidden_layers]
        hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(*hidden, nn.Linear(sizes[-1], output_size))


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
