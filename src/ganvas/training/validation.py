"""How near the pictures of the validation split come, and whether the method still looks at its input."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.evaluation.fidelity import SSIM_WINDOW, l1, psnr, ssim
from ganvas.image.ranges import unit_from_signed
from ganvas.inference.padding import translate_padded
from ganvas.methods.base import Method
from ganvas.training.pictures import Pair

THUMBNAIL = 8
"""Pixels a side of the coarse view in which outputs are compared with one another."""
ENOUGH = 4
"""Pairs."""


def validate(method: Method, pairs: Iterable[Pair]) -> dict[str, float]:
    """Means over the pairs, in evaluation mode, each picture alone.

    Returns:
        psnr (dB), ssim and l1 (of unit range), and spread: how much the outputs differ from one another, as a share
        of how much the targets do; near 0 the method gives the same picture for every input (left out below
        `ENOUGH` pairs). Empty without pairs.
    """
    rows, made, wanted = [], [], []
    for _, given, target in pairs:
        output = unit_from_signed(translate_padded(method, given).float().clamp(-1, 1))
        target = unit_from_signed(target)
        rows.append(_measures(output, target))
        made.append(functional.adaptive_avg_pool2d(output, THUMBNAIL))
        wanted.append(functional.adaptive_avg_pool2d(target, THUMBNAIL))
    if not rows:
        return {}
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: fmean(row[name] for row in rows if name in row) for name in names}
    if len(rows) >= ENOUGH:
        means["spread"] = _spread(torch.cat(made)) / max(_spread(torch.cat(wanted)), 1e-6)
    return means


def _measures(output: Tensor, target: Tensor) -> dict[str, float]:
    """Of one picture; SSIM only where its window fits."""
    found = {"psnr": min(psnr(output, target).item(), 100.0), "l1": l1(output, target).item()}
    if min(output.shape[-2:]) >= SSIM_WINDOW:
        found["ssim"] = ssim(output, target).item()
    return found


def _spread(thumbnails: Tensor) -> float:
    """Root mean square distance from the mean picture."""
    return (thumbnails - thumbnails.mean(dim=0)).square().mean().sqrt().item()
