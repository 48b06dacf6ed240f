"""Frozen feature extractors: the convolutions of AlexNet and VGG, and Inception-v3 of the Frechet inception distance.

Inception-v3 (Szegedy et al. 2016, arXiv:1512.00567) is TensorFlow's graph of 2015-12-05, up to `pool3`. It differs from
the published network in two points: average pooling excludes the padding from the mean, and the last block uses max
pooling. Modules are named as in pytorch-fid's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.errors import ConfigError, InputError
from ganvas.networks.convolutions import WideConvolution

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of R, G, B in [0, 1] in the training of torchvision's classifiers."""
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Convolution and its ReLU, `conv<name>` and `relu<name>`, optionally after a pooling."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    """Side of the max pooling before it, with stride 2; 0: none."""


class FeatureStack(nn.Module):
    """Convolutions up to the last tap; frozen, in eval mode.

    Args:
        layers: layers of the whole network, first to last.
        taps: names of the outputs to return, `conv<name>` before and `relu<name>` after the activation.

    Raises:
        ConfigError: the network has no such layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[Layer], taps: Sequence[str]) -> None:
        super().__init__()
        places = [f"{kind}{layer.name}" for layer in layers for kind in ("conv", "relu")]
        if not taps or (unknown := set(taps) - set(places)):
            raise ConfigError(
                f"unknown taps {', '.join(sorted(unknown)) if taps else ''}: expected some of {', '.join(places)}"
            )
        self.taps = tuple(taps)
        depth = 1 + max(places.index(tap) // 2 for tap in taps)
        self.layers = tuple(layers[:depth])
        inputs = (3, *(layer.channels for layer in self.layers))
        self.convolutions = nn.ModuleList(map(_convolution, inputs, self.layers))
        self.minimum_side = _minimum_side(self.layers)
        """Smallest height and width in pixels for which the last tap is not empty."""
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        self.register_buffer("mean", (2 * mean - 1).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", (2 * deviation).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(requires_grad=False).eval()

    def load_convolutions(self, convolutions: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Load weights (out, in, height, width) and biases (out,), first to last; others are ignored.

        Raises:
            ConfigError: they belong to another network.
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
        """Return (N, C, h, w) at each tap, in the order of `taps`. images: (N, 3, H, W) in [-1, 1].

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


def _convolution(inputs: int, layer: Layer) -> nn.Conv2d:
    kind = WideConvolution if layer.stride == 1 else nn.Conv2d
    return kind(inputs, layer.channels, layer.kernel, layer.stride, layer.padding)


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
"""Taps after each convolution, as in LPIPS."""


class AlexNet(FeatureStack):
    """Five convolutions; its `taps` are `conv1` to `conv5` and `relu1` to `relu5`."""

    def __init__(self, *, taps: Sequence[str] = ALEXNET_ACTIVATIONS) -> None:
        super().__init__(LAYERS, taps)


CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions in each block; max pooling between two blocks."""
VGG16_ACTIVATIONS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""Taps after the last convolution of each block, as in LPIPS."""


class VGG(FeatureStack):
    """Thirteen or sixteen 3x3 convolutions in five blocks.

    "VGG-i,j" of Ledig et al. 2017 (arXiv:1609.04802, Sec. 2.2.1) is `relu<i>_<j>`: VGG19's `relu5_4`, `relu2_2`.

    Args:
        depth: 16 or 19.
        taps: names of the outputs to return, `conv<block>_<index>` before, `relu<block>_<index>` after the activation.
    """

    def __init__(self, *, depth: Literal[16, 19] = 16, taps: Sequence[str] = VGG16_ACTIVATIONS) -> None:
        super().__init__(_layers(depth), taps)


def _layers(depth: Literal[16, 19]) -> list[Layer]:
    return [
        Layer(name=f"{block}_{index}", channels=channels, pool=2 if index == 1 and block > 1 else 0)
        for block, (channels, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1)
        for index in range(1, count + 1)
    ]


SIDE = 299
"""Height and width of the network's training pictures, in pixels."""
POOL3 = 2048
NUM_OUTPUTS = 1008
Pool = Literal["average", "maximum", "strided maximum"]
Size = int | tuple[int, int]
Branch = Sequence[str | tuple[str, ...]]
"""Names of successive layers; the outputs of a group in parentheses are concatenated."""


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size = 1, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images (N, C, H, W)."""
        return functional.relu(self.bn(self.conv(images)))


class Mixed(nn.Module):
    """Parallel branches with concatenated outputs, the last of which starts with a pooling.

    Args:
        layers: layers by name.
        branches: names of the layers of each branch.
        pool: pooling at the start of the last branch.
    """

    def __init__(self, layers: Mapping[str, ConvNorm], branches: Sequence[Branch], *, pool: Pool) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.branches, self.pool = tuple(branches), pool

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images (N, C, H, W)."""
        outputs = [self._follow(branch, images) for branch in self.branches[:-1]]
        return torch.cat([*outputs, self._follow(self.branches[-1], _pooled(images, self.pool))], dim=1)

    def _follow(self, branch: Branch, features: Tensor) -> Tensor:
        for step in branch:
            names = (step,) if isinstance(step, str) else step
            features = torch.cat([self.get_submodule(name)(features) for name in names], dim=1)
        return features


class InceptionFID(nn.Module):
    """Inception-v3 up to the spatial means of its last block, `pool_3:0`: (N, 3, 299, 299) to (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        self.Mixed_5b = _block_35(192, pooled=32)
        self.Mixed_5c = _block_35(256, pooled=64)
        self.Mixed_5d = _block_35(288, pooled=64)
        self.Mixed_6a = _to_17(288)
        self.Mixed_6b = _block_17(128)
        self.Mixed_6c = _block_17(160)
        self.Mixed_6d = _block_17(160)
        self.Mixed_6e = _block_17(192)
        self.Mixed_7a = _to_8(768)
        self.Mixed_7b = _block_8(1280, pool="average")
        self.Mixed_7c = _block_8(2048, pool="maximum")
        self.fc = nn.Linear(POOL3, NUM_OUTPUTS)  # in the file; not used
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, 2048). images: (N, 3, H, W) in [-1, 1]; 299 x 299 pixels for published FID values.

        Raises:
            InputError: another number of channels, or a side under 75 pixels.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 75:
            raise InputError(f"expected (N, 3, {SIDE}, {SIDE}), got {tuple(images.shape)}")
        features: Tensor = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        features = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_pooled(features, "strided maximum")))
        features = _pooled(features, "strided maximum")
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                features = block(features)
        return features.mean(dim=(2, 3))


def _pooled(images: Tensor, pool: Pool) -> Tensor:
    if pool == "average":
        return functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return functional.max_pool2d(images, 3, 2) if pool == "strided maximum" else functional.max_pool2d(images, 3, 1, 1)


def _block_35(inputs: int, *, pooled: int) -> Mixed:
    layers = {
        "branch1x1": ConvNorm(inputs, 64),
        "branch5x5_1": ConvNorm(inputs, 48),
        "branch5x5_2": ConvNorm(48, 64, 5, padding=2),
        "branch3x3dbl_1": ConvNorm(inputs, 64),
        "branch3x3dbl_2": ConvNorm(64, 96, 3, padding=1),
        "branch3x3dbl_3": ConvNorm(96, 96, 3, padding=1),
        "branch_pool": ConvNorm(inputs, pooled),
    }
    branches = (("branch1x1",), _chain("branch5x5", 2), _chain("branch3x3dbl", 3), ("branch_pool",))
    return Mixed(layers, branches, pool="average")


def _to_17(inputs: int) -> Mixed:
    layers = {
        "branch3x3": ConvNorm(inputs, 384, 3, stride=2),
        "branch3x3dbl_1": ConvNorm(inputs, 64),
        "branch3x3dbl_2": ConvNorm(64, 96, 3, padding=1),
        "branch3x3dbl_3": ConvNorm(96, 96, 3, stride=2),
    }
    return Mixed(layers, (("branch3x3",), _chain("branch3x3dbl", 3), ()), pool="strided maximum")


def _block_17(width: int) -> Mixed:
    layers = {
        "branch1x1": ConvNorm(768, 192),
        "branch7x7_1": ConvNorm(768, width),
        "branch7x7_2": _row(width, width),
        "branch7x7_3": _column(width, 192),
        "branch7x7dbl_1": ConvNorm(768, width),
        "branch7x7dbl_2": _column(width, width),
        "branch7x7dbl_3": _row(width, width),
        "branch7x7dbl_4": _column(width, width),
        "branch7x7dbl_5": _row(width, 192),
        "branch_pool": ConvNorm(768, 192),
    }
    branches = (("branch1x1",), _chain("branch7x7", 3), _chain("branch7x7dbl", 5), ("branch_pool",))
    return Mixed(layers, branches, pool="average")


def _to_8(inputs: int) -> Mixed:
    layers = {
        "branch3x3_1": ConvNorm(inputs, 192),
        "branch3x3_2": ConvNorm(192, 320, 3, stride=2),
        "branch7x7x3_1": ConvNorm(inputs, 192),
        "branch7x7x3_2": _row(192, 192),
        "branch7x7x3_3": _column(192, 192),
        "branch7x7x3_4": ConvNorm(192, 192, 3, stride=2),
    }
    return Mixed(layers, (_chain("branch3x3", 2), _chain("branch7x7x3", 4), ()), pool="strided maximum")


def _block_8(inputs: int, *, pool: Pool) -> Mixed:
    layers = {
        "branch1x1": ConvNorm(inputs, 320),
        "branch3x3_1": ConvNorm(inputs, 384),
        "branch3x3_2a": ConvNorm(384, 384, (1, 3), padding=(0, 1)),
        "branch3x3_2b": ConvNorm(384, 384, (3, 1), padding=(1, 0)),
        "branch3x3dbl_1": ConvNorm(inputs, 448),
        "branch3x3dbl_2": ConvNorm(448, 384, 3, padding=1),
        "branch3x3dbl_3a": ConvNorm(384, 384, (1, 3), padding=(0, 1)),
        "branch3x3dbl_3b": ConvNorm(384, 384, (3, 1), padding=(1, 0)),
        "branch_pool": ConvNorm(inputs, 192),
    }
    branches: Sequence[Branch] = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        ("branch_pool",),
    )
    return Mixed(layers, branches, pool=pool)


def _chain(name: str, length: int) -> tuple[str, ...]:
    return tuple(f"{name}_{index}" for index in range(1, length + 1))


def _row(inputs: int, outputs: int) -> ConvNorm:
    return ConvNorm(inputs, outputs, (1, 7), padding=(0, 3))


def _column(inputs: int, outputs: int) -> ConvNorm:
    return ConvNorm(inputs, outputs, (7, 1), padding=(3, 0))
