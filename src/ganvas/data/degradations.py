"""Degradations of pictures: mosaic, blur, downscaling, and the blind degradations of super-resolution.

Every function takes images (N, C, H, W), float in [-1, 1], and returns the same range and, except for `reduce`, the
same shape. Grids are anchored at the top left corner. The result for one picture does not depend on the others of the
batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.data.config import REDUCING, DegradationName
from ganvas.data.second_order import LUMINANCE, degrade_second_order, through_jpeg
from ganvas.errors import ConfigError

__all__ = [
    "blur",
    "compress",
    "degrade_blindly",
    "degrade_each",
    "downscale",
    "edges",
    "gray",
    "mosaic",
    "reduce",
    "strength_at",
]


def downscale(images: Tensor, factor: int) -> Tensor:
    """Downscale by `factor` (sides rounded up) and upscale again, by antialiased bicubic interpolation with a = -0.5.

    The kernel is that of Keys (1981), used by Pillow and MATLAB's imresize. Overshoot is clipped to [-1, 1].
    """
    height, width = images.shape[-2:]
    small = _bicubic(images, -(-height // factor), -(-width // factor)).clamp(-1, 1)
    return _bicubic(small, height, width).clamp(-1, 1)


def reduce(images: Tensor, factor: int) -> Tensor:
    """Downscale (N, C, H, W) to (N, C, H / factor, W / factor), bicubic. H, W: multiples of `factor`."""
    height, width = images.shape[-2:]
    assert height % factor == width % factor == 0, "loaders cut pictures to multiples"
    return _bicubic(images, height // factor, width // factor).clamp(-1, 1)


def _bicubic(images: Tensor, height: int, width: int) -> Tensor:
    # antialias=True also selects a = -0.5; without it torch takes a = -0.75.
    return functional.interpolate(images, (height, width), mode="bicubic", antialias=True)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of `sigma` pixels, truncated at 4 sigma, borders mirrored.

    These are the defaults of `scipy.ndimage.gaussian_filter`.
    """
    radius = int(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = _mirrored(images, -2, radius, radius).flatten(0, 1)[:, None]
    columns = functional.conv2d(rows, kernel[None, None, :, None]).view(images.shape)
    planes = _mirrored(columns, -1, radius, radius).flatten(0, 1)[:, None]
    return functional.conv2d(planes, kernel[None, None, None]).view(images.shape)


def _mirrored(images: Tensor, dim: int, before: int, after: int = 0) -> Tensor:
    """Pad one dimension as `d c b a | a b c d | d c b a`, however small it is."""
    size = images.shape[dim]
    index = torch.arange(-before, size + after, device=images.device) % (2 * size)
    return images.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))


BLUR = (0.2, 1.6)
"""Range of sigma, in pixels of the picture at that step."""
NOISE = (0.0, 10.0)
"""Range of the standard deviation, in gray levels of 255."""
QUALITY = (40, 95)
"""Range of the JPEG quality."""
DRAWS = 8
"""Number of random numbers for the order and strengths of one picture."""
JPEG_BLOCK = 16
"""Side in pixels of the blocks of a JPEG whose colors have half its resolution."""


class Blind(Protocol):
    """Degradation of a picture (C, H, W), with random parameters that depend on `chance` alone."""

    def __call__(self, image: Tensor, factor: int, chance: float, *, frame: int = 0) -> Tensor: ...


def degrade_blindly(image: Tensor, factor: int, chance: float, *, frame: int = 0) -> Tensor:
    """Downscale, blur, add noise and compress in random order: (C, H, W) -> (C, H / factor, W / factor), in [-1, 1].

    After Zhang et al. 2021, "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution",
    arXiv:2103.14006: the same kinds of degradation in random order, fewer variants of each.

    Args:
        image: H and W are multiples of `factor`.
        factor: factor of the antialiased bicubic downscaling.
        chance: in [0, 1), the seed of order and strengths.
        frame: index in a window of frames, which share order and strengths but not the noise.
    """
    seed = int(chance * 2**32)  # the generator reads 32 bits
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(DRAWS, generator=generator, dtype=torch.float64).tolist()
    if frame:
        generator.manual_seed((seed + frame) % 2**32)
    steps: list[Callable[[Tensor], Tensor]] = [
        lambda images: reduce(images, factor),
        lambda images: blur(images, _between(BLUR, drawn[0])),
        lambda images: _noise(images, _between(NOISE, drawn[1]), generator),
        lambda images: compress(images, round(_between(QUALITY, drawn[2]))),
    ]
    for step in np.argsort(drawn[3:7]).tolist():
        image = steps[step](image[None])[0].clamp(-1, 1)
    return image


def compress(images: Tensor, quality: int) -> Tensor:
    """Compress (N, C, H, W) in [-1, 1] as JPEG; three channels as color, others one by one as gray."""
    levels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    compressed = torch.from_numpy(np.stack([through_jpeg(picture, quality) for picture in levels]))
    return compressed.to(images) / 127.5 - 1


def _noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise, independent for each pixel value."""
    noise = torch.randn(images.shape, generator=generator, dtype=torch.float32).to(images)
    return images + 2 * deviation / 255 * noise


def _between(ends: tuple[float, float], uniform: float) -> float:
    return ends[0] + uniform * (ends[1] - ends[0])


def mosaic(images: Tensor, block: int) -> Tensor:
    """Replace each block of `block` x `block` pixels by its mean, partial blocks at the border included."""
    height, width = images.shape[-2:]
    means = functional.avg_pool2d(images, block, ceil_mode=True, count_include_pad=False)
    return means.repeat_interleave(block, -2)[..., :height, :].repeat_interleave(block, -1)[..., :width]


def gray(images: Tensor) -> Tensor:
    """Return the luminance of three channels, or the mean of any other number, repeated to all channels."""
    return _luminance(images).expand_as(images).contiguous()


def _luminance(images: Tensor) -> Tensor:
    """Return the luminance, (N, 1, H, W)."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(LUMINANCE, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def edges(images: Tensor) -> Tensor:
    """Return the magnitude of the Sobel gradient of the luminance, repeated to all channels: -1 where flat.

    A step from black to white along one axis gives 1; larger values at corners are clipped.
    """
    unit = functional.pad(_luminance(images) / 2, (1, 1, 1, 1), mode="replicate")
    down = (unit[..., :-2, :] + 2 * unit[..., 1:-1, :] + unit[..., 2:, :]) / 4
    across = (unit[..., :-2] + 2 * unit[..., 1:-1] + unit[..., 2:]) / 4
    magnitude = torch.hypot(down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :])
    return (2 * magnitude.clamp(max=1) - 1).expand_as(images).contiguous()


def strength_at(name: DegradationName, strength_range: tuple[float, float], uniform: float) -> float:
    """Return the strength for a uniform number in [0, 1): an integer for mosaic and downscale, both ends included.

    Raises:
        ConfigError: no whole number lies in the range.
    """
    low, high = strength_range
    if name not in ("mosaic", "downscale", *REDUCING):
        return low + uniform * (high - low)
    first, last = math.ceil(low), math.floor(high)
    if last < first:
        raise ConfigError(f"strength {strength_range}: {name} needs whole pixels, and it contains none")
    return float(first + int(uniform * (last - first + 1)))


def degrade_each(
    name: DegradationName,
    images: Tensor,
    strengths: Sequence[float],
    chances: Sequence[float] = (),
    *,
    num_frames: int = 1,
    are_crops: bool = False,
) -> Tensor:
    """Degrade picture i by strengths[i] (block, factor or sigma).

    Args:
        name: the degradation; `none` and `identity` return the images unchanged; those of `REDUCING` return smaller
            ones.
        images: (N, C, H, W) in [-1, 1].
        strengths: N numbers.
        chances: N numbers in [0, 1), the seeds of all other random choices, for blind degradations.
        num_frames: number of successive images that form a window.
        are_crops: whether the images are parts of larger pictures, so that a JPEG block may begin at any of their
            pixels (see `_inside`), for blind degradations.
    """
    match name:
        case "none" | "identity":
            return images
        case "gray":
            return gray(images)
        case "edges":
            return edges(images)
        case "reduce":
            return reduce(images, int(strengths[0]))
        case "means":
            return functional.avg_pool2d(images, int(strengths[0]))
        case "wear" | "second_order":
            degrade: Blind = degrade_blindly if name == "wear" else degrade_second_order
            degrade = partial(_inside, degrade) if are_crops else degrade
            degraded = [
                degrade(image, int(strengths[0]), chance, frame=place % num_frames)
                for place, (image, chance) in enumerate(zip(images, chances, strict=True))
            ]
            return torch.stack(degraded)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    for strength in np.unique(np.asarray(strengths)).tolist():
        chosen = [index for index, own in enumerate(strengths) if own == strength]
        result[chosen] = _degrade_alike(name, images[chosen], strength)
    return result


def _inside(degrade: Blind, image: Tensor, factor: int, chance: float, *, frame: int = 0) -> Tensor:
    """Degrade a crop as the inside of a larger picture, which continues it above and to the left, mirrored.

    The blocks of a JPEG begin at the corner of a picture. If they began at the corner of every crop, a network could
    learn their places from the crop's borders, which it does not see in pictures.
    """
    down, right = divmod(int(chance * 2**53) % JPEG_BLOCK**2, JPEG_BLOCK)
    larger = _mirrored(_mirrored(image, -2, down * factor), -1, right * factor)
    return degrade(larger, factor, chance, frame=frame)[..., down:, right:]


def _degrade_alike(name: DegradationName, images: Tensor, strength: float) -> Tensor:
    if name == "mosaic":
        return mosaic(images, int(strength))
    if name == "downscale":
        return downscale(images, int(strength))
    assert name == "blur", name
    return blur(images, strength)
