"""Layers of a prepacked network: oneDNN convolutions with reordered weights, and matching norms and dropout.

Features are channels-last. In that format PyTorch's norms depend on the number of threads and its dropout draws
different noise, so both are replaced.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.networks.convolutions import ReflectConvolution, ResizeConvolution, by_kernel_rows, fills_no_register
from ganvas.networks.winograd import Winograd, apply_winograd, suits_winograd, winograd

OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)
"""Operators of torch.ops.mkldnn, as called by PyTorch's compiler."""
LAYING_OUT = Lock()
"""Lock for reordering weights, since several threads may apply a network at once."""


@dataclass(frozen=True)
class Activation:
    """Activation that oneDNN fuses into a convolution.

    Attributes:
        name: name in `torch.ops.mkldnn`.
        scalars: parameters.
    """

    name: str = "none"
    scalars: tuple[float, ...] = ()

    @classmethod
    def of(cls, layer: nn.Module) -> Activation:
        """Return the layer's activation, or `NO_ACTIVATION` for any other layer."""
        if type(layer) is nn.ReLU:
            return cls("relu")
        if type(layer) is nn.LeakyReLU:
            return cls("leaky_relu", (layer.negative_slope,))
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            return cls("leaky_relu", (layer.weight.item(),))
        return NO_ACTIVATION

    @property
    def arguments(self) -> tuple[str, list[float], str]:
        """Arguments of the operators in `torch.ops.mkldnn`."""
        return self.name, list(self.scalars), ""

    def __call__(self, features: Tensor) -> Tensor:
        """Apply the activation in place, after a norm that could not be folded."""
        if self.name == "relu":
            return functional.relu_(features)
        return functional.leaky_relu_(features, *self.scalars) if self.name == "leaky_relu" else features


NO_ACTIVATION = Activation()


class Packed(nn.Module):
    """Convolution with the following norm and activation, whose weights are reordered at the first call.

    A batch norm in evaluation mode is an affine map of each channel, so it is folded into weights and bias. The mode at
    the first call determines this, and later calls must be in the same mode.

    Args:
        weight: weight of the layer.
        bias: bias of the layer.
        geometry: padding, output padding of a transposed convolution, stride, dilation, groups.
        transposed: whether the convolution is transposed.
        is_last: whether the result is always float32.
        mirror: pixels mirrored at the left, right, top and bottom, instead of zeros.
        norm: the norm after the convolution.
        activation: the activation after the norm.
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
        norm: nn.Module | None = None,
        activation: Activation = NO_ACTIVATION,
    ) -> None:
        super().__init__()
        kind = "convolution_transpose" if transposed else "convolution"
        self._reorder = getattr(torch.ops.mkldnn, f"_reorder_{kind}_weight")
        self._convolve = getattr(torch.ops.mkldnn, f"_{kind}_pointwise")
        self._transposed, self._geometry, self._mirror = transposed, geometry, mirror
        self._weight = weight.detach()
        self._bias = None if bias is None else bias.detach().clone()  # frees the loaded weights
        self._dtype, self._output_dtype = weight.dtype, torch.float32 if is_last else weight.dtype
        self.norm = PictureNorm(norm) if isinstance(norm, nn.BatchNorm2d | nn.InstanceNorm2d) else None
        self._activation = activation
        self._is_laid_out, self._folds, self._num_rows = False, False, 0
        self._winograd: Winograd | None = None

    @classmethod
    def of(
        cls,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        *,
        is_last: bool = False,
        norm: nn.Module | None = None,
        activation: Activation = NO_ACTIVATION,
    ) -> Packed:
        """Return the equivalent of a layer with zero padding, or of a `ReflectConvolution` or `ResizeConvolution`."""
        mirror = list(layer._reversed_padding_repeated_twice) if isinstance(layer, ReflectConvolution) else None
        padding = (0, 0) if mirror else layer.padding
        transposed, weight = isinstance(layer, nn.ConvTranspose2d | ResizeConvolution), layer.weight
        geometry: tuple[Any, ...] = (
            padding,
            *([layer.output_padding] if transposed else []),
            layer.stride,
            layer.dilation,
            layer.groups,
        )
        if isinstance(layer, ResizeConvolution):
            weight, geometry = layer.transposed_kernel(), ((1, 1), (0, 0), (2, 2), (1, 1), 1)
        return cls(
            weight, layer.bias, geometry,
            transposed=transposed, is_last=is_last, mirror=mirror, norm=norm, activation=activation,
        )  # fmt: skip

    def forward(self, features: Tensor, total: Tensor | None = None) -> Tensor:
        """Apply the layers: (N, input_channels, H, W) -> (N, output_channels, H', W').

        Args:
            features: input.
            total: tensor of the output's shape to add to the output; only without norm.
        """
        features = features.to(self._dtype)
        if self._mirror:
            features = functional.pad(features, self._mirror, mode="reflect")
        with LAYING_OUT:
            if not self._is_laid_out:
                self._lay_out(features)
        assert not (self._folds and self.training), "applied in evaluation mode before"
        # Convolution, fused with the activation unless a norm is between them
        at_once = self.norm is None or self._folds
        activation = self._activation if at_once else NO_ACTIVATION
        output = self._convolved(features, activation, total).to(self._output_dtype)
        if at_once:
            return output
        assert self.norm is not None
        return self._activation(self.norm(output))

    def _lay_out(self, features: Tensor) -> None:
        """Fold the norm if that is exact in this mode, choose the algorithm, and reorder the weights for it."""
        norm = None if self.norm is None else self.norm.layer
        if isinstance(norm, nn.BatchNorm2d) and not self.training:
            self._weight, self._bias, self._folds = *folded(self._weight, self._bias, norm, self._transposed), True
        if self._makes_few(features):
            self._num_rows, self._weight = self._weight.shape[2], by_kernel_rows(self._weight)
        if self._is_simple and suits_winograd(features, self._weight):
            self._winograd = winograd(self._weight.shape[2])
            self._weight = self._winograd.weights(self._weight)
        else:
            self._weight = self._reorder(self._weight, *self._geometry, list(features.shape))
        self._is_laid_out = True

    @property
    def _is_simple(self) -> bool:
        """Whether the convolution has no stride, dilation or groups."""
        return not self._transposed and self._geometry[1:] == ((1, 1), (1, 1), 1)

    def _makes_few(self, features: Tensor) -> bool:
        """Return whether there are few output channels, so that computing all kernel rows at once is faster."""
        is_alone = self._activation == NO_ACTIVATION and self._dtype == torch.float32 and self._weight.shape[2] > 1
        return self._is_simple and is_alone and fills_no_register(features, self._weight)

    def _convolved(self, features: Tensor, activation: Activation, total: Tensor | None) -> Tensor:
        if self._winograd is not None:
            output = activation(
                apply_winograd(features, self._winograd, self._weight, self._bias, self._geometry[0][0])
            )
        elif self._num_rows:
            by_row = self._convolve(features, self._weight, None, *self._geometry, *activation.arguments)
            output = sum_of_rows(by_row, self._num_rows, self._bias)
        elif total is not None and activation == NO_ACTIVATION:  # one pass over the output instead of two
            added: Tensor = self._convolve.binary(
                features, total.to(self._dtype), self._weight, self._bias, *self._geometry, "add", None, None, [], None
            )
            return added
        else:
            output = self._convolve(features, self._weight, self._bias, *self._geometry, *activation.arguments)
        return output if total is None else output.add_(total)


class PackedBlock(nn.Module):
    """Two convolutions whose result is added to the input.

    Args:
        first: the first convolution with its activation.
        second: the second convolution, without norm.
    """

    def __init__(self, first: Packed, second: Packed) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        output: Tensor = self.second(self.first(features), features)
        return output


def folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d, transposed: bool) -> tuple[Tensor, Tensor]:
    """Fold a batch norm with its running statistics into the convolution before it.

    gamma (W * x + b - mean) / sqrt(var + eps) + beta = (scale W) * x + (scale (b - mean) + beta).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = (0.0 if bias is None else bias.float()) - norm.running_mean
    shift = shift * scale + (norm.bias if norm.affine else 0.0)
    along = scale.view(1, -1, 1, 1) if transposed else scale.view(-1, 1, 1, 1)
    return (weight.float() * along).to(weight.dtype).detach(), shift.to(weight.dtype).detach()


def sum_of_rows(by_row: Tensor, num_rows: int, bias: Tensor | None) -> Tensor:
    """Shift the result of each kernel row to its position and sum the rows.

    Args:
        by_row: (N, num_rows C, H + num_rows - 1, W), by `by_kernel_rows`.
        num_rows: number of rows of the kernel.
        bias: (C).

    Returns:
        (N, C, H, W).
    """
    count, channels, height, width = by_row.shape
    planes = by_row.contiguous().view(count, num_rows, channels // num_rows, height, width)  # sums in memory order
    height -= num_rows - 1
    output: Tensor = planes[:, 0, :, :height] + (0.0 if bias is None else bias.view(-1, 1, 1))
    for row in range(1, num_rows):
        output += planes[:, row, :, row : row + height]
    return output


class PictureNorm(nn.Module):
    """A batch or instance norm over each picture, or a batch norm with its running statistics.

    For one picture both norms are equal. Sums run along rows and then over rows, each in one thread.
    """

    def __init__(self, layer: nn.BatchNorm2d | nn.InstanceNorm2d) -> None:
        super().__init__()
        self.layer = deepcopy(layer)

    def forward(self, features: Tensor) -> Tensor:
        """Normalize (N, C, H, W); shape and type stay the same."""
        layer = self.layer
        if isinstance(layer, nn.BatchNorm2d) and not self.training:
            normed: Tensor = layer(features)
            return normed
        wide = features.float()
        centered = wide - _mean(wide)
        scale = (_mean(centered.square()) + layer.eps).rsqrt()
        if layer.affine:
            return torch.addcmul(_along_channels(layer.bias), centered, scale * _along_channels(layer.weight)).to(
                features.dtype
            )
        return centered.mul_(scale).to(features.dtype)


class PlainDropout(nn.Dropout):
    """Dropout that draws its noise in contiguous order, whatever the memory format."""

    def forward(self, features: Tensor) -> Tensor:
        """Apply dropout to (N, C, H, W)."""
        if not self.training or self.p == 0:
            return features
        kept = torch.empty(features.shape, dtype=features.dtype).bernoulli_(1 - self.p)
        return features * kept.div_(1 - self.p)


def _mean(features: Tensor) -> Tensor:
    """Return the mean over height and width: (N, C, H, W) -> (N, C, 1, 1)."""
    height, width = features.shape[2:]
    return functional.avg_pool2d(functional.avg_pool2d(features, (1, width)), (height, 1))


def _along_channels(scale: Tensor) -> Tensor:
    return scale[:, None, None]
