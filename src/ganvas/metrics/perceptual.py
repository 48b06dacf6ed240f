"""LPIPS 0.1, learned perceptual image patch similarity. Zhang et al. 2018, arXiv:1801.03924."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ganvas.errors import InputError
from ganvas.networks.feature_extractors import VGG, AlexNet, FeatureStack
from ganvas.weights.find import find_weights
from ganvas.weights.known import ALEXNET, ALEXNET_LPIPS, VGG16, VGG16_LPIPS
from ganvas.weights.tensors import load_convolutions, load_heads

__all__ = ["LPIPS", "LPIPSNetwork", "load_lpips", "lpips_or_none"]

LPIPSNetwork = Literal["alexnet", "vgg16"]
EPSILON = 1e-10
_RECORDS = {"alexnet": (ALEXNET, ALEXNET_LPIPS), "vgg16": (VGG16, VGG16_LPIPS)}


class LPIPS(nn.Module):
    """Learned perceptual distance of two pictures by the features of a frozen classifier; 0 for equal pictures.

    Args:
        features: sees the pictures at L places.
        heads: L times (channels,), none negative: how much each channel counts.
        name: as in a table.
    """

    def __init__(self, features: FeatureStack, heads: Sequence[Tensor], *, name: str) -> None:
        super().__init__()
        self.features, self.name = features, name
        for index, head in enumerate(heads):
            self.register_buffer(f"head{index}", head.view(1, -1, 1, 1))

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return distances (N,), Eq. 1, differentiable. images, targets: (N, 3, H, W) in [-1, 1].

        Raises:
            InputError: shapes differ, not three channels, or a side under `features.minimum_side`.
        """
        if images.shape != targets.shape:
            raise InputError(f"expected two alike, got {tuple(images.shape)} and {tuple(targets.shape)}")
        pairs = zip(self.features(images), self.features(targets), self.buffers(recurse=False), strict=True)
        layers = [(head * (_unit(x) - _unit(y)) ** 2).sum(dim=1).mean(dim=(1, 2)) for x, y, head in pairs]
        total: Tensor = sum(layers[1:], layers[0])
        return total


@torch.inference_mode()
def lpips_or_none(lpips: LPIPS | None, images: Tensor, targets: Tensor) -> float | None:
    """Return one distance, or None without LPIPS and for pictures that it cannot process.

    Args:
        lpips: None where its weights are not at hand.
        images: (1, C, H, W) in [0, 1].
        targets: alike.
    """
    if lpips is None:
        return None
    try:
        return float(lpips(2 * images - 1, 2 * targets - 1).item())
    except InputError:  # not three channels, or too small
        return None


def load_lpips(
    network: LPIPSNetwork = "alexnet", *, path: Path | None = None, may_download: bool = True, progress: bool = True
) -> LPIPS:
    """Load LPIPS 0.1 with its published weights: AlexNet to measure, as its authors advise, VGG16 to train with.

    Args:
        network: which classifier's features.
        path: a folder, file or archive that holds convolutions and heads; by default wherever `find_weights` looks.
        may_download: fetch what is not on this machine.
        progress: draw a bar while downloading.

    Raises:
        WeightsError: the weights are nowhere, or others than their record says.
    """
    convolutions, heads = (
        find_weights(weights, path=path, may_download=may_download, progress=progress) for weights in _RECORDS[network]
    )
    features: FeatureStack = AlexNet() if network == "alexnet" else VGG(depth=16)
    features.load_convolutions(load_convolutions(convolutions))
    name = f"LPIPS 0.1 ({'AlexNet' if network == 'alexnet' else 'VGG16'})"
    return LPIPS(features, load_heads(heads), name=name).eval()


def _unit(features: Tensor) -> Tensor:
    """Normalize the channels of each position to length 1."""
    unit: Tensor = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)
    return unit
