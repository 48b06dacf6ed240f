"""Plain layers for exporters: PyTorch's own layers in place of those that choose between algorithms.

The layers of ganvas choose an algorithm by the shape of the features, which no exporter can follow. A norm over the
batch of one picture becomes an instance norm with the learned scale and offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks import Generator
from ganvas.networks.convolutions import (
    Blur,
    DoublingConvolution,
    HalvingConvolution,
    ReflectConvolution,
    ResizeConvolution,
    ScoreConvolution,
    WideConvolution,
)

__all__ = ["Draw", "GivenDropout", "first", "halve", "plain_layer"]


def first(images: Tensor, dim: int, size: int) -> Tensor:
    """Return the first rows or columns; uses indices, since a slice would make torch.export assume an odd size."""
    if isinstance(size, int) and images.shape[dim] == size:
        return images
    return images.index_select(dim, torch.arange(size))


@dataclass(eq=False)
class Draw:
    """Store of the random numbers of one dropout layer while a network runs."""

    values: Tensor | None = field(default=None)


class GivenDropout(nn.Module):
    """Dropout with random numbers as input: a feature is kept if its number, uniform in [0, 1), is at least p."""

    def __init__(self, p: float, draw: Draw) -> None:
        super().__init__()
        self.p, self.draw = p, draw

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape; the numbers are (N, C, at least H, at least W)."""
        assert self.draw.values is not None
        numbers = first(first(self.draw.values, 2, features.shape[2]), 3, features.shape[3])
        return features * ((numbers >= self.p).to(features.dtype) / (1 - self.p))


class PictureNorm(nn.Module):
    """Norm of each picture over its height and width, in float32, optionally with a scale and an offset."""

    def __init__(self, layer: nn.BatchNorm2d | nn.InstanceNorm2d) -> None:
        super().__init__()
        self.eps, self.weight, self.bias = layer.eps, layer.weight, layer.bias

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape and type."""
        wide = features.float()
        normed = torch.instance_norm(wide, self.weight, self.bias, None, None, True, 0.0, self.eps, False)
        return normed.to(features.dtype)


class FixedNorm(nn.Module):
    """Batch norm with the statistics of training, in float32."""

    def __init__(self, layer: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        """Any shape with channels -> the same shape and type."""
        normed: Tensor = self.layer(features.float())
        return normed.to(features.dtype)


class MirroredBlur(nn.Module):
    """A `Blur` with PyTorch's own padding."""

    def __init__(self, layer: Blur) -> None:
        super().__init__()
        self.kernel = nn.Parameter(layer.kernel.clone(), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, (H + 1) // 2, (W + 1) // 2)."""
        channels = features.shape[1]
        padded = functional.pad(features, [1] * 4, mode="reflect")
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 3, 3)
        return functional.conv2d(padded, kernel, stride=2, groups=channels)


PLAIN: dict[type[nn.Module], type[nn.Conv2d | nn.ConvTranspose2d]] = {
    HalvingConvolution: nn.Conv2d,
    ReflectConvolution: nn.Conv2d,
    ScoreConvolution: nn.Conv2d,
    WideConvolution: nn.Conv2d,
    DoublingConvolution: nn.ConvTranspose2d,
}
"""Convolution that chooses between algorithms -> PyTorch's own."""


def plain_layer(layer: nn.Module, *, of_picture: bool) -> nn.Module:
    """Return the layer of PyTorch that computes the same, or the layer itself."""
    if isinstance(layer, nn.Dropout):
        return nn.Identity()
    if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d) and of_picture:
        return PictureNorm(layer)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return FixedNorm(layer)
    if isinstance(layer, Blur):
        return MirroredBlur(layer)
    if type(layer) is ResizeConvolution:
        return like(layer, nn.ConvTranspose2d, weight=layer.transposed_kernel(), stride=2)
    if type(layer) in PLAIN:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        return like(layer, PLAIN[type(layer)], weight=layer.weight, stride=layer.stride[0])
    return layer


def like(
    layer: nn.Conv2d | nn.ConvTranspose2d,
    kind: type[nn.Conv2d | nn.ConvTranspose2d],
    *,
    weight: Tensor,
    stride: int,
) -> nn.Module:
    """Return PyTorch's own convolution with the channels, the padding and the bias of a layer."""
    mode: Literal["zeros", "reflect"] = "reflect" if isinstance(layer, ReflectConvolution) else "zeros"
    (padding,), kernel = set(layer.padding), (weight.shape[2], weight.shape[3])
    assert isinstance(padding, int)
    channels, has_bias = (layer.in_channels, layer.out_channels), layer.bias is not None
    made = kind(*channels, kernel, stride, padding, bias=has_bias, padding_mode=mode, device="meta")
    made.weight, made.bias = nn.Parameter(weight.detach()), layer.bias
    return made


def halve(network: nn.Module) -> None:
    """Convert convolutions and fully connected layers to float16, in place; what a generator returns is float32."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.half()
            layer.register_forward_pre_hook(lambda _layer, features: features[0].half())
    generators = [layer for layer in network.modules() if isinstance(layer, Generator)]
    inner = {part for generator in generators for part in generator.modules() if part is not generator}
    for generator in generators:
        if generator not in inner:  # an inner generator returns features to the outer one, and may have no last layer
            generator.last_layer.register_forward_hook(lambda _layer, _features, made: made.float())
