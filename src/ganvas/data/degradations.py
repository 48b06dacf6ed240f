"""What is taken from a picture so that a network may learn to give it back.

Every function takes images (N, C, H, W), float in [-1, 1], and returns the same shape (but for `reduce`) and range.
Grids are anchored at the top left corner. The result for one picture does not depend on the others of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.data.blind_degradation import wear
from ganvas.data.config import REDUCING, DegradationName
from ganvas.data.filters import blur, downscale, reduce
from ganvas.errors import ConfigError

__all__ = ["blur", "degrade", "degrade_each", "downscale", "edges", "grey", "mosaic", "reduce", "strength_at"]

LUMINANCE = (0.299, 0.587, 0.114)
"""Rec. ITU-R BT.601, as JPEG and Pillow weigh red, green and blue."""


def mosaic(images: Tensor, block: int) -> Tensor:
    """Each block of `block` x `block` pixels becomes its mean; one cut by the border, the mean of what is there."""
    height, width = images.shape[-2:]
    means = functional.avg_pool2d(images, block, ceil_mode=True, count_include_pad=False)
    return means.repeat_interleave(block, -2)[..., :height, :].repeat_interleave(block, -1)[..., :width]


def grey(images: Tensor) -> Tensor:
    """Luminance of three channels, the mean of any other number, repeated to all channels."""
    return _luminance(images).expand_as(images).contiguous()


def _luminance(images: Tensor) -> Tensor:
    """(N, 1, H, W)."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(LUMINANCE, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def edges(images: Tensor) -> Tensor:
    """Magnitude of the Sobel gradient of the luminance, repeated to all channels: -1 where flat.

    A step from black to white along one axis gives 1; the little that corners exceed it is cut.
    """
    unit = functional.pad(_luminance(images) / 2, (1, 1, 1, 1), mode="replicate")
    down = (unit[..., :-2, :] + 2 * unit[..., 1:-1, :] + unit[..., 2:, :]) / 4
    across = (unit[..., :-2] + 2 * unit[..., 1:-1] + unit[..., 2:]) / 4
    magnitude = torch.hypot(down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :])
    return (2 * magnitude.clamp(max=1) - 1).expand_as(images).contiguous()


def strength_at(name: DegradationName, strength_range: tuple[float, float], uniform: float) -> float:
    """The strength that a number in [0, 1) draws: whole for mosaic and downscale, both ends included.

    Raises:
        ConfigError: no whole number lies in the range.
    """
    low, high = strength_range
    if name not in ("mosaic", "downscale", *REDUCING):
        return low + uniform * (high - low)
    first, last = math.ceil(low), math.floor(high)
    if last < first:
        raise ConfigError(f"strength {strength_range}: {name} needs whole pixels, and none lies in it")
    return float(first + int(uniform * (last - first + 1)))


def degrade(
    name: DegradationName,
    images: Tensor,
    strength_range: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Tensor:
    """Degrade each picture by a strength of its own.

    Args:
        name: which degradation.
        images: (N, C, H, W) in [-1, 1].
        strength_range: smallest and largest block, factor or sigma; grey and edges have none.
        generator: of a CPU; draws one number a picture.
    """
    drawn = torch.rand(images.shape[0], generator=generator, dtype=torch.float64).tolist()
    return degrade_each(name, images, [strength_at(name, strength_range, uniform) for uniform in drawn])


def degrade_each(
    name: DegradationName, images: Tensor, strengths: Sequence[float], chances: Sequence[float] = ()
) -> Tensor:
    """Degrade picture i by strengths[i] (block, factor or sigma).

    Args:
        name: which degradation; `none` and `identity` return the images; `reduce`, `means` and `wear` smaller ones.
        images: (N, C, H, W) in [-1, 1].
        strengths: N numbers.
        chances: N numbers in [0, 1) that all else follows from, where anything is left to chance: `wear`.
    """
    match name:
        case "none" | "identity":
            return images
        case "grey":
            return grey(images)
        case "edges":
            return edges(images)
        case "reduce":
            return reduce(images, int(strengths[0]))
        case "means":
            return functional.avg_pool2d(images, int(strengths[0]))
        case "wear":
            worn = [wear(image, int(strengths[0]), chance) for image, chance in zip(images, chances, strict=True)]
            return torch.stack(worn)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    for strength in np.unique(np.asarray(strengths)).tolist():
        chosen = [index for index, own in enumerate(strengths) if own == strength]
        result[chosen] = _degrade_alike(name, images[chosen], strength)
    return result


def _degrade_alike(name: DegradationName, images: Tensor, strength: float) -> Tensor:
    if name == "mosaic":
        return mosaic(images, int(strength))
    if name == "downscale":
        return downscale(images, int(strength))
    assert name == "blur", name
    return blur(images, strength)
