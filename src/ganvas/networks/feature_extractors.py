"""Frozen feature extractors: the convolutions of AlexNet and VGG, for perceptual metrics and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.errors import ConfigError, InputError
from ganvas.networks.convolutions import WideConvolution

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of R, G, B in [0, 1], as torchvision's classifiers were trained."""
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution and its ReLU, `conv<name>` and `relu<name>`; pooling may come before."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    """Side of the maximum pooling before it, stride 2; 0 is none."""


class FeatureStack(nn.Module):
    """Convolutions up to the last place asked for; frozen, in eval mode.

    Args:
        layers: of the whole network, first to last.
        taps: places, `conv<name>` before and `relu<name>` after the activation.

    Raises:
        ConfigError: the network has no such place.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[Layer], taps: Sequence[str]) -> None:
        super().__init__()
        places = [f"{kind}{layer.name}" for layer in layers for kind in ("conv", "relu")]
        if not taps or (unknown := set(taps) - set(places)):
            raise ConfigError(f"no place {', '.join(sorted(unknown)) if taps else ''}: there are {', '.join(places)}")
        self.taps = tuple(taps)
        depth = 1 + max(places.index(tap) // 2 for tap in taps)
        self.layers = tuple(layers[:depth])
        self.convolutions = nn.ModuleList(_convolutions(self.layers))
        self.minimum_side = _minimum_side(self.layers)
        """Smallest height and width, in pixels, of which something is left at the last place."""
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        self.register_buffer("mean", (2 * mean - 1).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", (2 * deviation).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(requires_grad=False).eval()

    def load_convolutions(self, convolutions: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Load weights (out, in, height, width) and biases (out,), first to last; others are ignored.

        Raises:
            ConfigError: they are another network's.
        """
        own = [(layer.weight, layer.bias) for layer in self.convolutions if isinstance(layer, nn.Conv2d)]
        given = [pair[0].shape for pair in convolutions]
        if len(given) < len(own) or any(ours[0].shape != theirs for ours, theirs in zip(own, given, strict=False)):
            raise ConfigError(
                f"these convolutions are not of {type(self).__name__}: {[tuple(shape) for shape in given]}"
            )
        for (weight, bias), (new_weight, new_bias) in zip(own, convolutions, strict=False):
            assert bias is not None
            weight.copy_(new_weight)
            bias.copy_(new_bias)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, h, w) at each tap, in the order of `taps`. images: (N, 3, H, W) in [-1, 1].

        Raises:
            InputError: not three channels, or a side under `minimum_side`.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < self.minimum_side:
            least = self.minimum_side
            raise InputError(f"expected (N, 3, H, W) with sides of {least} or more, got {tuple(images.shape)}")
        seen: dict[str, Tensor] = {}
        features = (images - self.mean) / self.deviation
        for layer, convolution in zip(self.layers, self.convolutions, strict=True):
            if layer.pool:
                features = functional.max_pool2d(features, layer.pool, 2)
            seen[f"conv{layer.name}"] = features = convolution(features)
            seen[f"relu{layer.name}"] = features = functional.relu(features)
            seen = {place: value for place, value in seen.items() if place in self.taps}
        return tuple(seen[tap] for tap in self.taps)


def _convolutions(layers: Sequence[Layer]) -> list[nn.Conv2d]:
    inputs = (3, *(layer.channels for layer in layers))
    return [
        (WideConvolution if layer.stride == 1 else nn.Conv2d)(
            before, layer.channels, layer.kernel, layer.stride, layer.padding
        )
        for before, layer in zip(inputs, layers, strict=False)
    ]


def _minimum_side(layers: Sequence[Layer]) -> int:
    side = 1
    for layer in reversed(layers):
        side = max((side - 1) * layer.stride + layer.kernel - 2 * layer.padding, 1)
        if layer.pool:
            side = (side - 1) * 2 + layer.pool
    return side


LAYERS = (
    Layer(name="1", channels=64, kernel=11, stride=4, padding=2),
    Layer(name="2", channels=192, kernel=5, padding=2, pool=3),
    Layer(name="3", channels=384, pool=3),
    Layer(name="4", channels=256),
    Layer(name="5", channels=256),
)
ALEXNET_ACTIVATIONS = tuple(f"relu{layer.name}" for layer in LAYERS)
"""After each convolution: the places of LPIPS."""


class AlexNet(FeatureStack):
    """Five convolutions.

    Args:
        taps: places, `conv1` to `conv5` before and `relu1` to `relu5` after the activation.

    Raises:
        ConfigError: there is no such place.
    """

    def __init__(self, *, taps: Sequence[str] = ALEXNET_ACTIVATIONS) -> None:
        super().__init__(LAYERS, taps)


CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""How many each block has; between two blocks, maximum pooling."""
VGG16_ACTIVATIONS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""The last of each block: the places of LPIPS."""


class VGG(FeatureStack):
    """Thirteen or sixteen 3x3 convolutions in five blocks.

    "VGG-i,j" of Ledig et al. 2017 (arXiv:1609.04802, Sec. 2.2.1) is `relu<i>_<j>`: VGG19's `relu5_4`, `relu2_2`.

    Args:
        depth: 16 or 19.
        taps: places, `conv<block>_<index>` before and `relu<block>_<index>` after the activation.

    Raises:
        ConfigError: there is no such place.
    """

    def __init__(self, *, depth: Literal[16, 19] = 16, taps: Sequence[str] = VGG16_ACTIVATIONS) -> None:
        super().__init__(_layers(depth), taps)


def _layers(depth: Literal[16, 19]) -> list[Layer]:
    return [
        Layer(name=f"{block}_{index}", channels=channels, pool=2 if index == 1 and block > 1 else 0)
        for block, (channels, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1)
        for index in range(1, count + 1)
    ]
