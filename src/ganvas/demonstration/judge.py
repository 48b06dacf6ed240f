"""How near each rendition comes to the original, inside the covered region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from ganvas.demonstration.regions import BLOCK, Covered
from ganvas.image.cover import bicubic_resize, block_means
from ganvas.image.files import read_image
from ganvas.image.picture import Picture
from ganvas.image.ranges import to_unit
from ganvas.metrics.fidelity import psnr, ssim

RENDITIONS = ("mosaic", "bicubic", "l1", "l1_gan")
"""What is measured: the mosaic as it is, its blocks interpolated, and the two trained runs."""
MEASURES = {"psnr": 3, "ssim": 4}
"""Measure -> the decimals that are kept."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """One unseen photograph: its renditions, and how near each is to the original.

    Attributes:
        covered: the photograph and its region.
        pictures: rendition -> picture.
        scores: rendition -> {"psnr" in dB, "ssim"} inside the region.
    """

    covered: Covered
    pictures: dict[str, Picture]
    scores: dict[str, dict[str, float]]


def judge(covered: Covered, *, restored: Mapping[str, Path]) -> Judgement:
    """Measure every rendition against the original."""
    pictures = {"mosaic": covered.mosaicked, "bicubic": interpolated(covered)}
    pictures |= {name: read_image(path) for name, path in restored.items()}
    mask = torch.from_numpy(covered.region.mask(covered.original.height, covered.original.width))[None, None]
    target = as_tensor(covered.original)
    scores = {}
    for name, picture in pictures.items():
        image = as_tensor(picture)
        values = {"psnr": psnr(image, target, mask), "ssim": ssim(image, target, mask)}
        scores[name] = {measure: round(value.item(), MEASURES[measure]) for measure, value in values.items()}
    return Judgement(covered, pictures, scores)


def interpolated(covered: Covered) -> Picture:
    """The region filled by bicubic interpolation of its own blocks' means: what needs no learning."""
    box, pixels = covered.region, covered.mosaicked.pixels.copy()
    inside = pixels[box.top : box.bottom, box.left : box.right]
    inside[...] = bicubic_resize(block_means(inside, BLOCK), *inside.shape[:2])
    return Picture(pixels)


def as_tensor(picture: Picture) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    return torch.from_numpy(to_unit(picture.pixels)).permute(2, 0, 1)[None]


def mean_scores(judgements: Sequence[Judgement], rendition: str) -> dict[str, float]:
    """The mean over the unseen photographs."""
    rows = [judgement.scores[rendition] for judgement in judgements]
    return {measure: round(fmean(row[measure] for row in rows), 4) for measure in MEASURES}
