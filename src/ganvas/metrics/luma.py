"""How super-resolution is measured: on the luminance of the middle of a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas.metrics.fidelity import psnr, ssim

__all__ = ["BORDER", "luma", "luma_psnr", "luma_ssim"]

BORDER = 4
"""Pixels cut from each side (Ledig et al. 2017, arXiv:1609.04802, Sec. 3.1)."""
WEIGHTS = (65.481, 128.553, 24.966)
"""Of R, G and B in [0, 1]: ITU-R BT.601 as MATLAB's rgb2ycbcr has it; black is 16, white 235."""


def luma(images: Tensor) -> Tensor:
    """(N, 3 or 1, H, W) in [0, 1] -> Y, (N, 1, H, W) in [16, 235] / 255, in whole grey levels; grey stays as it is.

    MATLAB gives whole levels, and leaves a picture without colour alone, which is how the published tables were made.
    """
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(WEIGHTS, dtype=torch.float64, device=images.device)
    levels = (images.double() * weights[:, None, None]).sum(1, keepdim=True) + 16
    return levels.round() / 255


def luma_psnr(images: Tensor, targets: Tensor) -> Tensor:
    """(N,) dB on Y without the border. Both (N, C, H, W) in [0, 1]."""
    return psnr(_middle(images), _middle(targets))


def luma_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """(N,) SSIM on Y without the border. Both (N, C, H, W) in [0, 1]."""
    return ssim(_middle(images), _middle(targets))


def _middle(images: Tensor) -> Tensor:
    return luma(images)[..., BORDER:-BORDER, BORDER:-BORDER]
