"""Interpolation and blur, of which degradations are made.

Every function takes images (N, C, H, W), float in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["blur", "downscale", "reduce"]


def downscale(images: Tensor, factor: int) -> Tensor:
    """Smaller by `factor` (sides rounded up) and back, both by antialiased bicubic interpolation with a = -0.5.

    The kernel is Keys' (1981), the one of Pillow and of MATLAB's imresize. What it overshoots is cut to [-1, 1].
    """
    height, width = images.shape[-2:]
    small = _bicubic(images, -(-height // factor), -(-width // factor)).clamp(-1, 1)
    return _bicubic(small, height, width).clamp(-1, 1)


def reduce(images: Tensor, factor: int) -> Tensor:
    """Smaller by `factor` and left so; (N, C, H, W) -> (N, C, H / factor, W / factor). H, W: multiples of `factor`."""
    height, width = images.shape[-2:]
    assert height % factor == width % factor == 0, "loaders cut pictures to multiples"
    return _bicubic(images, height // factor, width // factor).clamp(-1, 1)


def _bicubic(images: Tensor, height: int, width: int) -> Tensor:
    # antialias=True also selects a = -0.5; without it torch takes a = -0.75.
    return functional.interpolate(images, (height, width), mode="bicubic", antialias=True)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels, cut at 4 sigma, borders mirrored (scipy.ndimage.gaussian_filter's defaults)."""
    radius = int(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = _mirrored(images, radius, -2).flatten(0, 1)[:, None]
    columns = functional.conv2d(rows, kernel[None, None, :, None]).view(images.shape)
    planes = _mirrored(columns, radius, -1).flatten(0, 1)[:, None]
    return functional.conv2d(planes, kernel[None, None, None]).view(images.shape)


def _mirrored(images: Tensor, radius: int, dim: int) -> Tensor:
    """Pad one dimension as `d c b a | a b c d | d c b a`, however small it is."""
    size = images.shape[dim]
    index = torch.arange(-radius, size + radius, device=images.device) % (2 * size)
    return images.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))
