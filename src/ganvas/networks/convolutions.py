"""Convolutions that change the size or mirror the border, each in the form that a machine computes fastest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from ganvas.hardware.instructions import has_avx512

convolution_backward = torch.ops.aten.convolution_backward
Geometry = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool, tuple[int, ...], int]
"""Stride, padding, dilation, whether it is transposed, output padding, groups: as `torch.convolution` takes them."""
DOUBLING: Geometry = ((2, 2), (1, 1), (1, 1), True, (0, 0), 1)
"""Of a transposed 4x4 convolution that doubles height and width."""
WIDE = 32
"""Channels on both sides of a convolution from which the weights' gradient gains from planes."""
LANES = 16
"""Float32 numbers in a vector register of AVX-512."""
FEW_POSITIONS = 512
"""Positions of a batch up to which the weights outweigh the features (benchmarked on a CPU with bfloat16)."""


class _PlanarWeightGradient(Function):
    """A convolution with its channels last, whose weights' gradient is computed on planes.

    Without AVX-512, oneDNN's forward pass and gradient of the features are faster with the channels last, and its
    gradient of the weights takes up to twice as long (benchmarks/layouts.py).
    """

    @staticmethod
    def forward(features: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        return torch.convolution(features, weight, bias, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, Geometry], output: Tensor) -> None:  # noqa: ARG004
        features, weight, bias, ctx.geometry = inputs
        ctx.save_for_backward(features, weight)
        ctx.bias_sizes = None if bias is None else list(bias.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, of_bias, _ = ctx.needs_input_grad
        made, made_weight, made_bias = None, None, None
        if of_features:
            made, _, _ = convolution_backward(gradient, features, weight, None, *ctx.geometry, [True, False, False])
        if of_weight or of_bias:
            planes = as_planes(gradient), as_planes(features)
            _, made_weight, made_bias = convolution_backward(
                *planes, weight, ctx.bias_sizes, *ctx.geometry, [False, of_weight, of_bias]
            )
        return made, made_weight, made_bias, None


def convolution(features: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """PyTorch's convolution, in a form whose backward pass suits features with their channels last.

    Args:
        features: (N, C, H, W).
        weight: as the layer has it.
        bias: (C'), or None.
        geometry: stride, padding, dilation, whether it is transposed, output padding, groups.
    """
    if not torch.compiler.is_compiling() and gains_from_planes(features, weight):
        made: Tensor = _PlanarWeightGradient.apply(features, weight, bias, geometry)  # type: ignore[no-untyped-call]
        return made
    stride, padding, dilation, transposed, output_padding, groups = geometry
    if transposed:
        return functional.conv_transpose2d(features, weight, bias, stride, padding, output_padding, groups, dilation)
    return functional.conv2d(features, weight, bias, stride, padding, dilation, groups)  # autocast knows these two


def gains_from_planes(features: Tensor, weight: Tensor) -> bool:
    """Return whether the weights' gradient is faster on planes than in the order that the features have."""
    learns = weight.requires_grad and torch.is_grad_enabled()
    is_wide = min(weight.shape[:2]) >= WIDE  # else the copies take longer than the gradient
    return learns and is_wide and not features.is_contiguous() and in_float32_on_cpu(features) and not has_avx512()


def as_planes(features: Tensor) -> Tensor:
    """(N, C, H, W) in planes. A 2-d transposition of each picture takes a third of the time of PyTorch's own copy."""
    if not features.is_contiguous(memory_format=torch.channels_last):
        return features.contiguous()
    planes = torch.empty(features.shape, dtype=features.dtype)
    for index in range(len(features)):
        planes[index].flatten(1).copy_(features[index].flatten(1))
    return planes


def in_float32_on_cpu(features: Tensor) -> bool:
    """Return whether convolutions of these features run in float32 on a CPU."""
    on_cpu = features.device.type == "cpu" and features.dtype == torch.float32
    return on_cpu and not torch.is_autocast_enabled("cpu")


class Convolution(nn.Conv2d):
    """A convolution padded with zeros."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        return convolution(features, self.weight, self.bias, _geometry(self))


class TransposedConvolution(nn.ConvTranspose2d):
    """A transposed convolution."""

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        assert output_size is None, "the output padding is given to the layer"
        return convolution(features, self.weight, self.bias, _geometry(self))


def _geometry(layer: nn.Conv2d | nn.ConvTranspose2d) -> Geometry:
    assert not isinstance(layer.padding, str)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    return layer.stride, layer.padding, layer.dilation, transposed, layer.output_padding, layer.groups


class ReflectConvolution(nn.Conv2d):
    """A convolution that mirrors its border: as `padding_mode="reflect"`, but autocast leaves the mirroring alone."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        with torch.autocast(features.device.type, enabled=False):
            padded = reflect(features, self._reversed_padding_repeated_twice[0])
        return convolve(padded, self.weight, self.bias, self.stride)


def reflect(features: Tensor, border: int) -> Tensor:
    """Mirror `border` pixels around (N, C, H, W), as torch's reflection padding does."""
    if features.device.type != "cpu" or not features.is_contiguous():
        return functional.pad(features, [border] * 4, mode="reflect")
    padded: Tensor = _Reflect.apply(features, border)  # type: ignore[no-untyped-call]
    return padded


class _Reflect(Function):
    """Torch's padding with a gradient that folds the border back, a quarter of the time of torch's pixel by pixel."""

    @staticmethod
    def forward(features: Tensor, border: int) -> Tensor:
        return functional.pad(features, [border] * 4, mode="reflect")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:  # noqa: ARG004
        ctx.border = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return folded_back(folded_back(gradient, ctx.border, dim=3), ctx.border, dim=2), None


def folded_back(padded: Tensor, border: int, *, dim: int) -> Tensor:
    """What lies in the borders of that dimension, added to what it mirrors; the borders are cut off."""
    size = padded.shape[dim] - 2 * border
    inner = padded.narrow(dim, border, size).clone(memory_format=torch.contiguous_format)
    for at, mirrored in ((0, 1), (border + size, size - border - 1)):
        inner.narrow(dim, mirrored, border).add_(padded.narrow(dim, at, border).flip(dim))
    return inner


class ScoreConvolution(nn.Conv2d):
    """A convolution that makes one channel or few."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        padded = functional.pad(features, self._reversed_padding_repeated_twice)
        return convolve(padded, self.weight, self.bias, self.stride)


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...] = (1, 1)) -> Tensor:
    """Torch's convolution of what is padded already, or one that makes few channels faster."""
    if set(stride) == {1} and fills_no_register(features, weight):
        return convolve_to_few(features, weight, bias)
    return convolution(features, weight, bias, (stride, (0, 0), (1, 1), False, (0, 0), 1))


def fills_no_register(features: Tensor, weight: Tensor) -> bool:
    """Whether so few channels are made that most lanes of a processor's vector registers would stay empty."""
    on_processor = features.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_processor and len(weight) * weight.shape[2] <= LANES * 2


def convolve_to_few(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of stride 1 whose kernel's rows each make channels of their own; moved into place, they are summed.

    (N, input_channels, H, W) -> (N, output_channels, H', W'). Twice as fast as torch's for the last layer of a
    ResNet on two cores, forward and backward (benchmarks/few_channels.py).
    """
    channels, _, rows, _ = weight.shape
    by_row = functional.conv2d(features, by_kernel_rows(weight))
    height = features.shape[2] - rows + 1
    made = sum(by_row[:, row * channels : (row + 1) * channels, row : row + height] for row in range(rows))
    assert isinstance(made, Tensor)
    return made if bias is None else made + bias.view(-1, 1, 1)


def by_kernel_rows(weight: Tensor) -> Tensor:
    """Make each row of a kernel an output of its own: (C', C, R, S) -> (R C', C, 1, S), one row after another."""
    return weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)


class Blur(nn.Module):
    """The filter [1, 2, 1] in both axes on mirrored borders, then every second pixel: less aliasing than a stride.

    Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", arXiv:1904.11486.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", torch.outer(row, row).view(1, 1, 3, 3), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, (H + 1) // 2, (W + 1) // 2)."""
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 3, 3)
        return functional.conv2d(reflect(features, 1), kernel, stride=2, groups=channels)


class BilinearConvolution(Convolution):
    """Bilinear enlargement by 2, the filter [1, 3, 3, 1] of Zhang 2019, then a 3x3 convolution."""

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 3, 1, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        return super().forward(functional.interpolate(features, scale_factor=2, mode="bilinear"))


class HalvingConvolution(Convolution):
    """A 4x4 convolution of stride 2 and padding 1.

    Where the weights outweigh the features, as near a U-Net's bottleneck, it is one matrix product: torch's convolution
    would reorder the weights, which takes several times as long.
    """

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 4, 2, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H // 2, W // 2)."""
        count, _, height, width = features.shape
        if not as_matrix(features, self.weight, positions=count * (height // 2) * (width // 2)):
            return super().forward(features)
        taps = functional.unfold(features, 4, padding=1, stride=2)  # (N, 16 input_channels, positions)
        made = functional.linear(taps.transpose(1, 2), self.weight.flatten(1), self.bias)
        return made.transpose(1, 2).view(count, -1, height // 2, width // 2)


class DoublingConvolution(TransposedConvolution):
    """A transposed 4x4 convolution of stride 2 and padding 1; a matrix product where `HalvingConvolution` is."""

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 4, 2, 1, bias=bias)

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        count, channels, height, width = features.shape
        if not as_matrix(features, self.weight, positions=count * height * width):
            return super().forward(features, output_size)
        rows = features.flatten(2).transpose(1, 2).reshape(-1, channels)
        taps = torch.mm(rows, self.weight.flatten(1)).view(count, height * width, -1)
        made = functional.fold(taps.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return made if self.bias is None else made + self.bias.to(made.dtype).view(-1, 1, 1)


def as_matrix(features: Tensor, weight: Tensor, *, positions: int) -> bool:
    """Whether one matrix product is the faster form. In float32 never: its rounding stays the released code's."""
    small = positions <= FEW_POSITIONS and features.device.type == "cpu" and features.dtype == torch.bfloat16
    return small and weight.is_contiguous()


class ResizeConvolution(nn.Conv2d):
    """Nearest-neighbour enlargement by 2, then a 3x3 convolution: no checkerboards.

    Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", distill.pub/2016/deconv-checkerboard. Both together
    are one transposed 4x4 convolution whose kernel is the 3x3 one spread by a 2x2 box, and are computed so: the
    enlarged features are never made (3.7 times as fast on two cores, benchmarks/resize_convolution.py).
    """

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 3, 1, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        return convolution(features, self.transposed_kernel(), self.bias, DOUBLING)

    def transposed_kernel(self) -> Tensor:
        """(input_channels, output_channels, 4, 4), of the transposed convolution of stride 2 and padding 1."""
        turned = self.weight.flip(2, 3).transpose(0, 1)
        shifts = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0))
        kernel = sum(nn.functional.pad(turned, shift) for shift in shifts)
        assert isinstance(kernel, Tensor)
        return kernel
