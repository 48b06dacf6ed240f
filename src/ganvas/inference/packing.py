"""Networks made ready to be applied and no longer trained: another precision, weights laid out once for the CPU.

torch lays out a convolution's weights anew at each call, which for one picture takes longer than the convolution. Here
oneDNN's own layout is kept. Features then have their channels last, for which torch's norms depend on the number of
threads and its dropout draws other noise, so both are replaced. Results equal the plain network's up to float rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.hardware import Precision
from ganvas.methods.base import Method
from ganvas.networks import Generator
from ganvas.networks.blocks import InstanceNorm
from ganvas.networks.convolutions import (
    DoublingConvolution,
    HalvingConvolution,
    ReflectConvolution,
    ResizeConvolution,
)

CONVOLUTIONS = (nn.Conv2d, HalvingConvolution, ReflectConvolution)
TRANSPOSED = (nn.ConvTranspose2d, DoublingConvolution)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, InstanceNorm)
OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)
"""Of torch.ops.mkldnn; what torch's own compiler calls."""
LAYING_OUT = Lock()
"""Several threads may use a network."""


def make_ready(method: Method, *, precision: Precision) -> None:
    """Change the method's generators in place: convolutions of that precision, packed where that can be.

    Norms, the last activation and what a residual generator adds stay float32.
    """
    for name in method.generators:
        network = getattr(method, name)
        if precision == "bfloat16":
            lower(network)
        if can_pack(network) and not method.translates_by_search:  # what is packed has no gradient
            pack(network)


def lower(network: nn.Module) -> None:
    """Convolutions in bfloat16, channels last."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(torch.bfloat16)
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
            layer.register_forward_pre_hook(lambda _, features: features[0].bfloat16())
    if isinstance(network, Generator):
        network.last_layer.register_forward_hook(lambda _layer, _features, made: made.float())


def can_pack(network: nn.Module) -> bool:
    """Whether this torch has oneDNN for this processor and the network's precision."""
    weights = list(network.parameters())
    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    if not has_onednn() or any(weight.device.type != "cpu" for weight in weights):
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS):
        return False
    lowered = any(weight.dtype == torch.bfloat16 for weight in weights)
    return not lowered or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack(network: nn.Module) -> None:
    """Replace the layers of a network in place; layers of kinds not known here stay."""
    last = network.last_layer if isinstance(network, Generator) else None
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            setattr(parent, name, _packed(layer, is_last=layer is last).train(layer.training))


def _packed(layer: nn.Module, *, is_last: bool) -> nn.Module:
    kind = type(layer)
    if kind in CONVOLUTIONS or kind in TRANSPOSED:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return Packed.of(layer, is_last=is_last) if is_plain else layer
    if kind is ResizeConvolution:
        assert isinstance(layer, ResizeConvolution)
        geometry = ((1, 1), (0, 0), (2, 2), (1, 1), 1)
        return Packed(layer.transposed_kernel(), layer.bias, geometry, transposed=True, is_last=is_last)
    if kind in NORMS:
        assert isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d)
        return PictureNorm(layer)
    return PlainDropout(layer.p) if isinstance(layer, nn.Dropout) and kind is nn.Dropout else layer


class Packed(nn.Module):
    """A convolution, or a transposed one, whose weights are laid out at the first call.

    Args:
        weight: as the layer has it.
        bias: likewise.
        geometry: padding, of a transposed convolution output padding, stride, dilation, groups.
        transposed: which of the two.
        is_last: what comes out is float32.
        mirror: pixels mirrored at the left, right, top and bottom, instead of zeros.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        geometry: tuple[Any, ...],
        *,
        transposed: bool,
        is_last: bool,
        mirror: list[int] | None = None,
    ) -> None:
        super().__init__()
        kind = "convolution_transpose" if transposed else "convolution"
        self._reorder = getattr(torch.ops.mkldnn, f"_reorder_{kind}_weight")
        self._convolve = getattr(torch.ops.mkldnn, f"_{kind}_pointwise")
        self._weight, self._geometry = weight.detach(), geometry
        self._bias = None if bias is None else bias.detach().clone()  # what was loaded can be let go
        self._dtype, self._made = weight.dtype, torch.float32 if is_last else weight.dtype
        self._mirror, self._is_laid_out = mirror, False

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.ConvTranspose2d, *, is_last: bool) -> Packed:
        """The same as that layer, which pads with zeros or is a ReflectConvolution."""
        mirror = list(layer._reversed_padding_repeated_twice) if isinstance(layer, ReflectConvolution) else None
        padding = (0, 0) if mirror else layer.padding
        transposed = isinstance(layer, nn.ConvTranspose2d)
        geometry = (
            padding,
            *([layer.output_padding] if transposed else []),
            layer.stride,
            layer.dilation,
            layer.groups,
        )
        return cls(layer.weight, layer.bias, geometry, transposed=transposed, is_last=is_last, mirror=mirror)

    def forward(self, features: Tensor) -> Tensor:
        """As the layer: (N, input_channels, H, W) -> (N, output_channels, H', W'), channels last."""
        features = features.to(self._dtype)
        if self._mirror:
            features = functional.pad(features, self._mirror, mode="reflect")
        with LAYING_OUT:
            if not self._is_laid_out:
                self._weight = self._reorder(self._weight, *self._geometry, list(features.shape))
                self._is_laid_out = True
        made: Tensor = self._convolve(features, self._weight, self._bias, *self._geometry, "none", [], "")
        return made.to(self._made)


class PictureNorm(nn.Module):
    """A batch or instance norm that takes its statistics from each picture alone, or a batch norm's running ones.

    Of one picture both norms are the same. Sums run along rows and then down, each by one thread.
    """

    def __init__(self, layer: nn.BatchNorm2d | nn.InstanceNorm2d) -> None:
        super().__init__()
        self._layer = deepcopy(layer)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape and type."""
        layer = self._layer
        if isinstance(layer, nn.BatchNorm2d) and not self.training:
            normed: Tensor = layer(features)
            return normed
        wide = features.float()
        centred = wide - _mean(wide)
        scale = (_mean(centred.square()) + layer.eps).rsqrt()
        if layer.affine:
            return torch.addcmul(_along_channels(layer.bias), centred, scale * _along_channels(layer.weight)).to(
                features.dtype
            )
        return centred.mul_(scale).to(features.dtype)


class PlainDropout(nn.Dropout):
    """Dropout that draws for channels in order, however they lie in memory."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if not self.training or self.p == 0:
            return features
        kept = torch.empty(features.shape, dtype=features.dtype).bernoulli_(1 - self.p)
        return features * kept.div_(1 - self.p)


def _mean(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 1, 1)."""
    height, width = features.shape[2:]
    return functional.avg_pool2d(functional.avg_pool2d(features, (1, width)), (height, 1))


def _along_channels(scale: Tensor) -> Tensor:
    return scale[:, None, None]
