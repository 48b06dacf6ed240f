"""Inception-v3 as the Frechet inception distance uses it: TensorFlow's graph of 2015-12-05, up to `pool3`.

Szegedy et al. 2016, arXiv:1512.00567. From the published network that graph differs in two places: average pooling
leaves the padding out of the mean, and the last block pools by maximum. Modules are named as in pytorch-fid's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.errors import InputError

SIDE = 299
"""Height and width that the network was trained on, in pixels."""
POOL3 = 2048
NUM_OUTPUTS = 1008
Pool = Literal["average", "maximum", "strided maximum"]
Size = int | tuple[int, int]
Branch = Sequence[str | tuple[str, ...]]
"""Layers one after the other; of a group side by side the outputs are concatenated."""


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
    """Branches over one input, their outputs concatenated; the last one starts with a pooling.

    Args:
        layers: by name.
        branches: which layers each is made of.
        pool: what the last branch starts with.
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
    """(N, 3, 299, 299) in [-1, 1] to (N, 2048): the means of the last block, TensorFlow's `pool_3:0`."""

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
        """(N, 2048). images: (N, 3, H, W) in [-1, 1]; of 299 pixels each way for the measure of record.

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
