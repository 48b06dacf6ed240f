"""Deep features of pictures: extractors for distances between sets, and LPIPS 0.1 between two pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganvas.errors import InputError, WeightsError
from ganvas.image.cover import bicubic_resize
from ganvas.image.ranges import signed_from_value
from ganvas.localization.classifier import require_rgb
from ganvas.localization.efficientnet_lite import PREPROCESSING, load_network
from ganvas.metrics.distribution import FeatureSpace, Moments
from ganvas.networks.feature_extractors import POOL3, SIDE, VGG, AlexNet, FeatureStack, InceptionFID
from ganvas.weights.find import find_weights
from ganvas.weights.known import ALEXNET, ALEXNET_LPIPS, EFFICIENTNET_LITE0, INCEPTION_FID, VGG16, VGG16_LPIPS
from ganvas.weights.tensors import load_convolutions, load_heads, load_state

__all__ = [
    "LPIPS",
    "FeatureExtractor",
    "LPIPSNetwork",
    "efficientnet_features",
    "inception_features",
    "load_lpips",
    "lpips_or_none",
    "resize_antialiased",
    "vgg_features",
]

Rgb = NDArray[np.uint8]
VGG_SIDE = 224
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """Network that maps each picture to one vector."""

    space: FeatureSpace
    network: nn.Module
    """Network from (N, 3, side, side) to a feature map, on its own device."""
    pool: Callable[[Any], Tensor]
    """Pooling of the network's output to (N, D)."""
    prepare: Callable[[Rgb], NDArray[np.float32]]
    """Preprocessing from (H, W, 3) uint8 to (side, side, 3)."""

    def vectors(self, pictures: Sequence[Rgb]) -> NDArray[np.float32]:
        """Return feature vectors (N, D). pictures: N of (H, W, 3) uint8, of any sizes."""
        parts = [self._batch(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.space.dimension), np.float32)

    def moments(self, pictures: Iterable[Rgb]) -> Moments:
        """Compute mean and covariance of any number of pictures, read one batch at a time."""
        moments, batch = Moments(self.space), list[Rgb]()
        for picture in pictures:
            batch.append(picture)
            if len(batch) == BATCH:
                moments.add(self._batch(batch))
                batch.clear()
        if batch:
            moments.add(self._batch(batch))
        return moments

    @torch.inference_mode()
    def _batch(self, pictures: Sequence[Rgb]) -> NDArray[np.float32]:
        for picture in pictures:
            require_rgb(picture)
        images = torch.from_numpy(np.stack([self.prepare(picture).transpose(2, 0, 1) for picture in pictures]))
        device = next(self.network.parameters()).device
        vectors: NDArray[np.float32] = self.pool(self.network(images.to(device))).float().cpu().numpy()
        return vectors


def resize_antialiased(rgb: Rgb, side: int) -> NDArray[np.float32]:
    """Resize to (side, side, 3) in 0..255 without rounding: Pillow's bicubic filter on floats, clipped.

    Parmar et al. 2022, arXiv:2104.11222: resizing without antialiasing, or with rounding, changes FID by whole points.
    """
    return bicubic_resize(rgb.astype(np.float32), side, side).clip(0, 255)


def efficientnet_features() -> FeatureExtractor:
    """Return the pooled features of EfficientNet-lite0, whose weights are installed with ganvas.

    Raises:
        WeightsError: they are missing.
    """
    network = load_network(find_weights(EFFICIENTNET_LITE0, may_download=False).path)
    space = FeatureSpace(
        name="efficientnet-lite0 pooled (1280)",
        dimension=1280,
        protocol="center square of 7/8, Pillow bicubic to 224 x 224",
    )
    return FeatureExtractor(
        space=space, network=network.features, pool=_mean, prepare=lambda rgb: PREPROCESSING.center(rgb)[0]
    )


def vgg_features(*, path: Path | None = None, may_download: bool = True, progress: bool = True) -> FeatureExtractor:
    """Return VGG16's last activation, averaged over the picture.

    Args:
        path: file or folder of the weights; by default see `find_weights`.
        may_download: whether to download missing weights.
        progress: whether to show a progress bar.

    Raises:
        WeightsError: they are not found.
    """
    network = VGG(depth=16, taps=("relu5_3",))
    found = find_weights(VGG16, path=path, may_download=may_download, progress=progress)
    network.load_convolutions(load_convolutions(found))
    space = FeatureSpace(
        name="vgg16-relu5_3-mean",
        dimension=512,
        protocol=f"antialiased bicubic to {VGG_SIDE} x {VGG_SIDE}, not rounded",
    )
    return FeatureExtractor(space=space, network=network, pool=lambda maps: _mean(maps[0]), prepare=_signed(VGG_SIDE))


def inception_features(
    *, path: Path | None = None, may_download: bool = True, progress: bool = True
) -> FeatureExtractor:
    """Return Inception-v3's `pool3`, the features of FID, with pytorch-fid's weights and clean-fid's resizing.

    Args:
        path: the file; by default see `find_weights`.
        may_download: whether to download a missing file.
        progress: whether to show a progress bar.

    Raises:
        WeightsError: the file is not found, or contains other weights.
    """
    found = find_weights(INCEPTION_FID, path=path, may_download=may_download, progress=progress)
    network = inception_from(load_state(found), found.path)
    space = FeatureSpace(
        name="inception-v3 pool3",
        dimension=POOL3,
        protocol=f"antialiased bicubic to {SIDE} x {SIDE}, not rounded (clean-fid); weights of pytorch-fid",
        is_inception_fid=True,
    )
    return FeatureExtractor(space=space, network=network, pool=lambda vectors: vectors, prepare=_signed(SIDE))


def inception_from(state: dict[str, Tensor], path: Path) -> nn.Module:
    """Build the network from a state dict in pytorch-fid's naming.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; names the file.
    """
    network = InceptionFID()
    try:
        network.load_state_dict(state)
    except RuntimeError as problem:
        raise WeightsError(f"{path} does not contain the Inception-v3 of FID: {problem}") from problem
    return network


def _signed(side: int) -> Callable[[Rgb], NDArray[Any]]:
    """Resize with antialiasing, and convert to [-1, 1]."""
    return lambda rgb: signed_from_value(resize_antialiased(rgb, side), (0, 255))


def _mean(maps: Tensor) -> Tensor:
    """Average (N, C, h, w) to (N, C)."""
    return maps.mean(dim=(2, 3))


LPIPSNetwork = Literal["alexnet", "vgg16"]
EPSILON = 1e-10
_RECORDS = {"alexnet": (ALEXNET, ALEXNET_LPIPS), "vgg16": (VGG16, VGG16_LPIPS)}


class LPIPS(nn.Module):
    """Learned perceptual distance of two pictures by the features of a frozen classifier; 0 for equal pictures.

    Args:
        features: feature extractor with L taps.
        heads: L vectors (channels,), the nonnegative weights of the channels.
        name: name in tables.
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
            raise InputError(f"expected equal shapes, got {tuple(images.shape)} and {tuple(targets.shape)}")
        pairs = zip(self.features(images), self.features(targets), self.buffers(recurse=False), strict=True)
        layers = [(head * (_unit(x) - _unit(y)) ** 2).sum(dim=1).mean(dim=(1, 2)) for x, y, head in pairs]
        total: Tensor = sum(layers[1:], layers[0])
        return total


@torch.inference_mode()
def lpips_or_none(lpips: LPIPS | None, images: Tensor, targets: Tensor) -> float | None:
    """Return one distance, or None without LPIPS and for pictures that it cannot process.

    Args:
        lpips: None if its weights are not available.
        images: (1, C, H, W) in [0, 1].
        targets: targets of the same shape.
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
    """Load LPIPS 0.1 with its published weights: AlexNet for evaluation, as its authors recommend, VGG16 for training.

    Args:
        network: the classifier of the features.
        path: a folder, file or archive with convolutions and heads; by default see `find_weights`.
        may_download: whether to download missing files.
        progress: whether to show a progress bar.

    Raises:
        WeightsError: the weights are not found, or differ from their record.
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
