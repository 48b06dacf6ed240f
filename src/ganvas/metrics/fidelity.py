"""How near a picture is to the truth: PSNR, SSIM, MS-SSIM and L1, one value a picture.

All take pictures (N, C, H, W) in [0, 1] and return (N,) float64; sums are in double precision. Where a mask is taken
it is (N or 1, 1, H, W), bool or 0/1, and only what it marks counts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.errors import InputError

SSIM_WINDOW = 11
"""Side of SSIM's window in pixels (Wang et al. 2004, Sec. III-C)."""
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # (K1 L)^2, (K2 L)^2 with L = 1
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales (Wang, Simoncelli & Bovik 2003, Sec. 3.2)."""
MS_SSIM_MINIMUM = SSIM_WINDOW * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
"""Smallest side in pixels for which the coarsest scale still holds one window: 176."""


def psnr(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite where nothing differs.

    Raises:
        InputError: shapes differ, or a picture's mask marks nothing.
    """
    return -10 * torch.log10(_region_mean((_difference(images, targets) ** 2), mask))


def l1(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference, in [0, 1].

    Raises:
        InputError: shapes differ, or a picture's mask marks nothing.
    """
    return _region_mean(_difference(images, targets).abs(), mask)


def ssim(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, K 0.01 and 0.03.

    Only windows wholly inside the picture count; with a mask, those whose centre it marks. The mean is over
    positions and channels.

    Raises:
        InputError: shapes differ, a side is under 11 pixels, or a picture's mask marks no window's centre.
    """
    _check_side(images, SSIM_WINDOW, "SSIM")
    similarity, _ = _ssim_maps(images, targets)
    if mask is None:
        return similarity.mean(dim=(1, 2, 3))
    border = SSIM_WINDOW // 2
    return _region_mean(similarity, mask[:, :, border:-border, border:-border])


def ms_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Multi-scale structural similarity over five scales; negative terms count as 0, as is usual.

    Raises:
        InputError: shapes differ, or a side is under `MS_SSIM_MINIMUM` pixels.
    """
    _check_side(images, MS_SSIM_MINIMUM, "MS-SSIM")
    result = torch.ones(len(images), dtype=torch.float64, device=images.device)
    coarsest = len(MS_SSIM_WEIGHTS) - 1
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        similarity, contrast = _ssim_maps(images, targets)
        term = similarity if scale == coarsest else contrast  # luminance counts at the coarsest only, Eq. 7
        result = result * term.mean(dim=(1, 2, 3)).clamp(min=0) ** weight
        images, targets = (functional.avg_pool2d(x.double(), 2) for x in (images, targets))
    return result


def _ssim_maps(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H - 10, W - 10) twice: SSIM, and its contrast-structure factor alone (Eq. 13 of the 2004 paper)."""
    _difference(images, targets)
    x, y = images.double(), targets.double()
    mean_x, mean_y, square_x, square_y, product = (_blur(z) for z in (x, y, x * x, y * y, x * y))
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    covariance = product - mean_x * mean_y
    contrast = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return luminance * contrast, contrast


def _blur(images: Tensor) -> Tensor:
    """Gaussian window, valid positions only: (N, C, H, W) -> (N, C, H - 10, W - 10)."""
    offsets = torch.arange(SSIM_WINDOW, dtype=images.dtype, device=images.device) - SSIM_WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    n, c, h, w = images.shape
    planes = images.reshape(n * c, 1, h, w)
    planes = functional.conv2d(planes, kernel.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, kernel.view(1, 1, 1, -1))
    return planes.view(n, c, *planes.shape[2:])


def _difference(images: Tensor, targets: Tensor) -> Tensor:
    """The difference, in float64."""
    if images.ndim != 4 or images.shape != targets.shape:
        raise InputError(f"expected two times (N, C, H, W), got {tuple(images.shape)} and {tuple(targets.shape)}")
    return images.double() - targets.double()


def _region_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """(N, C, H, W) -> (N,): the mean over all, or over what the mask marks."""
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    n, _, h, w = values.shape
    if mask.ndim != 4 or mask.shape[0] not in (1, n) or mask.shape[1] != 1 or mask.shape[2:] != values.shape[2:]:
        raise InputError(f"expected a mask ({n} or 1, 1, {h}, {w}), got {tuple(mask.shape)}")
    weights = (mask != 0).to(values).expand(n, -1, -1, -1)
    counted = weights.sum(dim=(1, 2, 3)) * values.shape[1]
    if (counted == 0).any():
        raise InputError("a mask marks nothing that can be measured; leave that picture out")
    return (values * weights).sum(dim=(1, 2, 3)) / counted


def _check_side(images: Tensor, minimum: int, name: str) -> None:
    if min(images.shape[-2:]) < minimum:
        height, width = images.shape[-2:]
        raise InputError(f"{name} needs sides of at least {minimum} pixels, the picture has {height} x {width}")
