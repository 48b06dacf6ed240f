"""Fidelity of a picture to its target: PSNR, SSIM, MS-SSIM, L1, their luminance variants and summaries.

All metrics take pictures (N, C, H, W) in [0, 1] and return (N,) float64; sums are in double precision. A mask, where
one is accepted, is (N or 1, 1, H, W), bool or 0/1, and only marked pixels count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.errors import InputError

SSIM_WINDOW = 11
"""Side of SSIM's window in pixels (Wang et al. 2004, Sec. III-C)."""
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # (K1 L)^2, (K2 L)^2 with L = 1
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales (Wang, Simoncelli & Bovik 2003, Sec. 3.2)."""
MS_SSIM_MINIMUM = SSIM_WINDOW * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
"""Smallest side in pixels for which the coarsest scale contains one window: 176."""
BORDER = 4
"""Number of pixels cropped from each side (Ledig et al. 2017, arXiv:1609.04802, Sec. 3.1)."""
WEIGHTS = (65.481, 128.553, 24.966)
"""Luma weights of R, G and B in [0, 1]: ITU-R BT.601 as in MATLAB's rgb2ycbcr; black is 16, white 235."""
TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "l1": "L1"}
Measures = dict[str, float | None]
"""Name of a metric -> value, None if it is undefined."""


def psnr(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the peak signal-to-noise ratio in dB for a peak of 1; infinite for equal pictures.

    Raises:
        InputError: shapes differ, or a mask is empty.
    """
    return -10 * torch.log10(_region_mean((_difference(images, targets) ** 2), mask))


def l1(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean absolute difference, in [0, 1].

    Raises:
        InputError: shapes differ, or a mask is empty.
    """
    return _region_mean(_difference(images, targets).abs(), mask)


def ssim(images: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute structural similarity (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, K 0.01 and 0.03.

    Only windows completely inside the picture count; with a mask, those whose center it marks. The mean is over
    positions and channels.

    Raises:
        InputError: shapes differ, a side is under 11 pixels, or a picture's mask marks no window's center.
    """
    _check_side(images, SSIM_WINDOW, "SSIM")
    similarity, _ = _ssim_maps(images, targets)
    if mask is None:
        return similarity.mean(dim=(1, 2, 3))
    border = SSIM_WINDOW // 2
    return _region_mean(similarity, mask[:, :, border:-border, border:-border])


def ms_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Compute multi-scale structural similarity over five scales; negative terms count as 0, as is usual.

    Raises:
        InputError: shapes differ, or a side is under `MS_SSIM_MINIMUM` pixels.
    """
    _check_side(images, MS_SSIM_MINIMUM, "MS-SSIM")
    result = torch.ones(len(images), dtype=torch.float64, device=images.device)
    coarsest = len(MS_SSIM_WEIGHTS) - 1
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        similarity, contrast = _ssim_maps(images, targets)
        term = similarity if scale == coarsest else contrast  # Eq. 7: luminance enters at the coarsest scale only
        result = result * term.mean(dim=(1, 2, 3)).clamp(min=0) ** weight
        images, targets = (functional.avg_pool2d(x.double(), 2) for x in (images, targets))
    return result


def _ssim_maps(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return SSIM and its contrast-structure factor (Eq. 13 of the 2004 paper), each (N, C, H - 10, W - 10)."""
    _difference(images, targets)
    x, y = images.double(), targets.double()
    mean_x, mean_y, square_x, square_y, product = (_blur(z) for z in (x, y, x * x, y * y, x * y))
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    covariance = product - mean_x * mean_y
    contrast = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return luminance * contrast, contrast


def _blur(images: Tensor) -> Tensor:
    """Apply the Gaussian window at valid positions only: (N, C, H, W) -> (N, C, H - 10, W - 10)."""
    offsets = torch.arange(SSIM_WINDOW, dtype=images.dtype, device=images.device) - SSIM_WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    n, c, h, w = images.shape
    planes = images.reshape(n * c, 1, h, w)
    planes = functional.conv2d(planes, kernel.view(1, 1, -1, 1))
    planes = functional.conv2d(planes, kernel.view(1, 1, 1, -1))
    return planes.view(n, c, *planes.shape[2:])


def _difference(images: Tensor, targets: Tensor) -> Tensor:
    """Return the difference in float64."""
    if images.ndim != 4 or images.shape != targets.shape:
        raise InputError(
            f"expected two tensors (N, C, H, W) of equal shape, got {tuple(images.shape)} and {tuple(targets.shape)}"
        )
    return images.double() - targets.double()


def _region_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Average (N, C, H, W) to (N,), over all positions or those that the mask marks."""
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    n, _, h, w = values.shape
    if mask.ndim != 4 or mask.shape[0] not in (1, n) or mask.shape[1] != 1 or mask.shape[2:] != values.shape[2:]:
        raise InputError(f"expected a mask ({n} or 1, 1, {h}, {w}), got {tuple(mask.shape)}")
    weights = (mask != 0).to(values).expand(n, -1, -1, -1)
    counted = weights.sum(dim=(1, 2, 3)) * values.shape[1]
    if (counted == 0).any():
        raise InputError("the mask marks no position that can be measured; exclude this picture")
    return (values * weights).sum(dim=(1, 2, 3)) / counted


def _check_side(images: Tensor, minimum: int, name: str) -> None:
    if min(images.shape[-2:]) < minimum:
        height, width = images.shape[-2:]
        raise InputError(f"{name} needs sides of at least {minimum} pixels, the picture has {height} x {width}")


def luma(images: Tensor) -> Tensor:
    """Convert (N, 3 or 1, H, W) in [0, 1] to Y, (N, 1, H, W) in [16, 235] / 255, rounded; gray is unchanged.

    As in MATLAB, with which published tables are computed: integer levels, and gray pictures unchanged.
    """
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(WEIGHTS, dtype=torch.float64, device=images.device)
    levels = (images.double() * weights[:, None, None]).sum(1, keepdim=True) + 16
    return levels.round() / 255


def luma_psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Compute PSNR (N,) in dB on Y without the border. Both inputs (N, C, H, W) in [0, 1]."""
    return psnr(_middle(images), _middle(targets))


def luma_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Compute SSIM (N,) on Y without the border. Both inputs (N, C, H, W) in [0, 1]."""
    return ssim(_middle(images), _middle(targets))


def _middle(images: Tensor) -> Tensor:
    return luma(images)[..., BORDER:-BORDER, BORDER:-BORDER]


@dataclass(frozen=True)
class Summary:
    """Summary of a metric over all pictures.

    Attributes:
        mean, deviation: over the pictures with a value; None without any. The deviation is that of the population.
        count: number of pictures with a value.
    """

    mean: float | None
    deviation: float | None
    count: int


def summarize(values: Sequence[float | None]) -> Summary:
    """Return the mean and deviation of the values that are not None."""
    there = [value for value in values if value is not None]
    return Summary(fmean(there), pstdev(there), len(there)) if there else Summary(None, None, 0)


MEASURES = {"psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim, "l1": l1}


def measure(images: Tensor, targets: Tensor) -> tuple[Measures, dict[str, str]]:
    """Compute all metrics of one picture against its target, and the reasons for missing ones.

    Args:
        images: (1, C, H, W) in [0, 1].
        targets: targets of the same shape.
    """
    values: Measures = {}
    missing: dict[str, str] = {}
    for name, function in MEASURES.items():
        try:
            values[name] = function(images, targets).item()
        except InputError as error:
            values[name], missing[name] = None, str(error)
    if values["psnr"] == math.inf:
        values["psnr"], missing["psnr"] = None, "the pictures are equal, so it is infinite"
    return values, missing


def summaries(rows: Sequence[Measures]) -> dict[str, Summary]:
    """Summarize each metric over all rows."""
    return {name: summarize([row[name] for row in rows]) for name in MEASURES}
