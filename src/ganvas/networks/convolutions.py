"""Fast convolutions with reflection padding, downsampling or upsampling, and receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from ganvas.networks.winograd import convolve_winograd, suits_winograd

Interval = tuple[int, int]
"""First and last pixel along one axis, both included."""


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Return the receptive field along one axis in pixels.

    Args:
        layers: (kernel, stride) of each convolution, from the input to the output.
    """
    pixels = 1
    for kernel, stride in reversed(layers):
        pixels = (pixels - 1) * stride + kernel
    return pixels


def before_convolution(needed: Interval, *, kernel: int, stride: int, padding: int) -> Interval:
    """Return the inputs of a convolution that the outputs `needed` depend on."""
    first, last = needed
    return first * stride - padding, last * stride - padding + kernel - 1


def before_convolutions(needed: Interval, count: int) -> Interval:
    """Return the inputs of `count` successive 3x3 convolutions that the outputs `needed` depend on."""
    first, last = needed
    return first - count, last + count


def before_transposed(needed: Interval, *, kernel: int, stride: int, padding: int) -> Interval:
    """Return the inputs of a transposed convolution that the outputs `needed` depend on."""
    first, last = needed
    # input i reaches outputs stride * i - padding + (0 .. kernel - 1)
    return -((kernel - 1 - padding - first) // stride), (last + padding) // stride


def before_nearest(needed: Interval, *, factor: int) -> Interval:
    """Return the inputs of a nearest-neighbor upsampling that the outputs `needed` depend on."""
    first, last = needed
    return first // factor, last // factor


def context(needed_inputs: Callable[[Interval], Interval], *, period: int, scale: int = 1) -> int:
    """Return the largest distance, in input pixels, at which an input pixel influences an output pixel.

    Args:
        needed_inputs: output interval -> input interval of a network.
        period: number of input pixels after which its behavior repeats (the product of its strides).
        scale: ratio of output to input size.
    """
    spans = ((pixel // scale, needed_inputs((pixel, pixel))) for pixel in range(period * scale))
    return max(max(place - first, last - place) for place, (first, last) in spans)


def bicubic(images: Tensor, scale: int) -> Tensor:
    """(N, C, H, W) -> (N, C, scale H, scale W): Keys' kernel with a = -0.5, as in `imresize` and Pillow."""
    height, width = images.shape[-2:]
    size = (scale * height, scale * width)
    return functional.interpolate(images.float(), size, mode="bicubic", antialias=True)  # which selects a = -0.5


LANES = 16
"""Float32 values in a vector register of AVX-512."""
FEW_POSITIONS = 512
"""Largest number of positions in a batch for which a matrix product is faster (benchmarked on a CPU with bfloat16)."""


class ReflectConvolution(nn.Conv2d):
    """Convolution with reflection padding, like `padding_mode="reflect"`, but with the padding outside autocast."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        with torch.autocast(features.device.type, enabled=False):
            padded = reflect(features, self._reversed_padding_repeated_twice[0])
        return convolve(padded, self.weight, self.bias, self.stride)


def reflect(features: Tensor, border: int) -> Tensor:
    """Pad (N, C, H, W) by `border` mirrored pixels, like torch's reflection padding."""
    if features.device.type != "cpu" or not features.is_contiguous():
        return functional.pad(features, [border] * 4, mode="reflect")
    padded: Tensor = _Reflect.apply(features, border)  # type: ignore[no-untyped-call]
    return padded


class _Reflect(Function):
    """Torch's reflection padding with a backward pass that takes a quarter of the time of torch's."""

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
    """Add the borders of a dimension to the pixels that they mirror, and crop them."""
    size = padded.shape[dim] - 2 * border
    inner = padded.narrow(dim, border, size).clone(memory_format=torch.contiguous_format)
    for at, mirrored in ((0, 1), (border + size, size - border - 1)):
        inner.narrow(dim, mirrored, border).add_(padded.narrow(dim, at, border).flip(dim))
    return inner


class ScoreConvolution(nn.Conv2d):
    """Convolution with few output channels, such as the scores of a discriminator."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        padded = functional.pad(features, self._reversed_padding_repeated_twice)
        return convolve(padded, self.weight, self.bias, self.stride)


class WideConvolution(nn.Conv2d):
    """Convolution of stride 1 that uses `ganvas.networks.winograd` where it is faster."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H', W')."""
        weight = self.weight  # read once: a parametrization, such as spectral norm, computes it at each access
        if suits_winograd(features, weight):
            assert isinstance(self.padding[0], int)
            return convolve_winograd(features, weight, self.bias, self.padding[0])
        outputs: Tensor = self._conv_forward(features, weight, self.bias)
        return outputs


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...] = (1, 1)) -> Tensor:
    """Convolve padded features by PyTorch, or by a faster method if there are few or many output channels."""
    if set(stride) == {1} and fills_no_register(features, weight):
        return convolve_to_few(features, weight, bias)
    if suits_winograd(features, weight, stride):
        return convolve_winograd(features, weight, bias)
    return functional.conv2d(features, weight, bias, stride)


def fills_no_register(features: Tensor, weight: Tensor) -> bool:
    """Return whether there are too few output channels to fill the vector registers."""
    on_processor = features.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_processor and len(weight) * weight.shape[2] <= LANES * 2


def convolve_to_few(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve at stride 1 with each kernel row as separate output channels, then shift and sum them.

    (N, input_channels, H, W) -> (N, output_channels, H', W'). Twice as fast as torch's for the last layer of a
    ResNet on two cores, forward and backward (benchmarks/few_channels.py).
    """
    # 1. One convolution by all kernel rows at once: R times as many output channels fill the vector registers.
    channels, _, rows, _ = weight.shape
    by_row = functional.conv2d(features, by_kernel_rows(weight))
    # 2. Output row y is the sum over kernel rows r of the result of row r at y + r.
    height = features.shape[2] - rows + 1
    output = sum(by_row[:, row * channels : (row + 1) * channels, row : row + height] for row in range(rows))
    assert isinstance(output, Tensor)
    return output if bias is None else output + bias.view(-1, 1, 1)


def by_kernel_rows(weight: Tensor) -> Tensor:
    """Turn each row of a kernel into an output channel: (C', C, R, S) -> (R C', C, 1, S), row by row."""
    return weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)


class Blur(nn.Module):
    """Antialiased downsampling with the filter [1, 2, 1] in both axes and mirrored borders.

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


class BilinearConvolution(nn.Conv2d):
    """Bilinear upsampling by 2, the filter [1, 3, 3, 1] of Zhang 2019, then a 3x3 convolution."""

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 3, 1, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        return super().forward(functional.interpolate(features, scale_factor=2, mode="bilinear"))


class HalvingConvolution(nn.Conv2d):
    """4x4 convolution of stride 2 and padding 1.

    If the weights are larger than the features, as near a U-Net's bottleneck, it is computed as one matrix product:
    torch's convolution would reorder the weights, which takes several times as long.
    """

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 4, 2, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, H // 2, W // 2)."""
        count, _, height, width = features.shape
        if not as_matrix(features, self.weight, positions=count * (height // 2) * (width // 2)):
            return super().forward(features)
        taps = functional.unfold(features, 4, padding=1, stride=2)  # (N, 16 input_channels, positions)
        output = functional.linear(taps.transpose(1, 2), self.weight.flatten(1), self.bias)
        return output.transpose(1, 2).view(count, -1, height // 2, width // 2)


class DoublingConvolution(nn.ConvTranspose2d):
    """Transposed 4x4 convolution of stride 2 and padding 1, computed as a matrix product if `HalvingConvolution` is."""

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 4, 2, 1, bias=bias)

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        count, channels, height, width = features.shape
        if not as_matrix(features, self.weight, positions=count * height * width):
            return super().forward(features, output_size)
        rows = features.flatten(2).transpose(1, 2).reshape(-1, channels)
        taps = torch.mm(rows, self.weight.flatten(1)).view(count, height * width, -1)
        output = functional.fold(taps.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return output if self.bias is None else output + self.bias.to(output.dtype).view(-1, 1, 1)


def as_matrix(features: Tensor, weight: Tensor, *, positions: int) -> bool:
    """Return whether a matrix product is faster; never in float32, so that rounding equals the released code's."""
    small = positions <= FEW_POSITIONS and features.device.type == "cpu" and features.dtype == torch.bfloat16
    return small and weight.is_contiguous()


class ResizeConvolution(nn.Conv2d):
    """Nearest-neighbor upsampling by 2, then a 3x3 convolution, which avoids checkerboards.

    Odena et al. 2016, "Deconvolution and Checkerboard Artifacts", distill.pub/2016/deconv-checkerboard. Together they
    equal a transposed 4x4 convolution whose kernel is the 3x3 kernel convolved with a 2x2 box. They are computed in
    this form, without storing the upsampled features (3.7 times as fast on two cores,
    benchmarks/resize_convolution.py).
    """

    def __init__(self, input_channels: int, output_channels: int, *, bias: bool) -> None:
        super().__init__(input_channels, output_channels, 3, 1, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        return nn.functional.conv_transpose2d(features, self.transposed_kernel(), self.bias, stride=2, padding=1)

    def transposed_kernel(self) -> Tensor:
        """Return the kernel (input_channels, output_channels, 4, 4) of the equivalent transposed convolution."""
        # A transposed convolution applies the mirrored kernel. Each of the four upsampled copies of an input pixel adds
        # the 3x3 kernel shifted by one along each axis, which is a convolution of the kernel with a 2x2 box.
        turned = self.weight.flip(2, 3).transpose(0, 1)
        shifts = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0))
        kernel = sum(nn.functional.pad(turned, shift) for shift in shifts)
        assert isinstance(kernel, Tensor)
        return kernel
