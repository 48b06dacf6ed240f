"""Fidelity of each rendition to the original inside the covered region, and the conclusions from the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from ganvas.demonstration.photographs import BLOCK, Covered
from ganvas.image.cover import bicubic_resize, block_means
from ganvas.image.files import read_image
from ganvas.image.picture import Picture
from ganvas.image.ranges import to_unit
from ganvas.metrics.fidelity import psnr, ssim

RENDITIONS = ("mosaic", "bicubic", "l1", "l1_gan")
"""What is measured: the mosaic as it is, its blocks interpolated, and the two trained runs."""
DECIMALS = {"psnr": 3, "ssim": 4}
"""Measure -> the decimals that are kept."""
NAMES = {"mosaic": "the mosaic", "bicubic": "bicubic interpolation", "l1": "L1 alone", "l1_gan": "L1 + GAN"}
"""Rendition -> its name inside a sentence."""
MODELS = ("l1", "l1_gan")
"""The learned renditions."""
Means = Mapping[str, Mapping[str, float]]
"""Rendition -> {"psnr" in dB, "ssim"}, means over the unseen photographs."""


@dataclass(frozen=True, eq=False)
class Restoration:
    """One unseen photograph: its renditions, and how near each is to the original.

    Attributes:
        covered: the photograph and its region.
        pictures: rendition -> picture.
        scores: rendition -> {"psnr" in dB, "ssim"} inside the region.
    """

    covered: Covered
    pictures: dict[str, Picture]
    scores: dict[str, dict[str, float]]


def measure_renditions(covered: Covered, *, restored: Mapping[str, Path]) -> Restoration:
    """Measure every rendition against the original."""
    pictures = {"mosaic": covered.mosaicked, "bicubic": interpolated(covered)}
    pictures |= {name: read_image(path) for name, path in restored.items()}
    mask = torch.from_numpy(covered.region.mask(covered.original.height, covered.original.width))[None, None]
    target = as_tensor(covered.original)
    scores = {}
    for name, picture in pictures.items():
        image = as_tensor(picture)
        values = {"psnr": psnr(image, target, mask), "ssim": ssim(image, target, mask)}
        scores[name] = {measure: round(value.item(), DECIMALS[measure]) for measure, value in values.items()}
    return Restoration(covered, pictures, scores)


def interpolated(covered: Covered) -> Picture:
    """Fill the region by bicubic interpolation of its own blocks' means, a baseline without learning."""
    box, pixels = covered.region, covered.mosaicked.pixels.copy()
    inside = pixels[box.top : box.bottom, box.left : box.right]
    inside[...] = bicubic_resize(block_means(inside, BLOCK), *inside.shape[:2])
    return Picture(pixels)


def as_tensor(picture: Picture) -> Tensor:
    """Convert a picture to (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(to_unit(picture.pixels)).permute(2, 0, 1)[None]


def mean_scores(restorations: Sequence[Restoration], rendition: str) -> dict[str, float]:
    """Return the mean over the unseen photographs."""
    rows = [restoration.scores[rendition] for restoration in restorations]
    return {measure: round(fmean(row[measure] for row in rows), 4) for measure in DECIMALS}


@dataclass(frozen=True)
class Conclusion:
    """What the figures say.

    Attributes:
        recommended: the model with the higher mean PSNR.
        nearest: measure -> the rendition with the highest mean, models or not.
        sentences: the same in words.
    """

    recommended: str
    nearest: Mapping[str, str]
    sentences: tuple[str, ...]


def conclude(means: Means) -> Conclusion:
    """Return what the mean figures say; a tie goes to the rendition that was made with less effort."""
    recommended = _highest({name: means[name] for name in MODELS}, "psnr")
    nearest = {measure: _highest(means, measure) for measure in ("psnr", "ssim")}
    return Conclusion(recommended, nearest, (_nearest(means, nearest), _gain(means, recommended)))


def _highest(means: Means, measure: str) -> str:
    return max(means, key=lambda name: means[name][measure])


def _nearest(means: Means, nearest: Mapping[str, str]) -> str:
    by_psnr, by_ssim = nearest["psnr"], nearest["ssim"]
    psnr, ssim = f"{means[by_psnr]['psnr']:.2f} dB", f"{means[by_ssim]['ssim']:.3f}"
    if by_psnr == by_ssim:
        return f"Nearest to the originals by mean PSNR ({psnr}) and by mean SSIM ({ssim}): {NAMES[by_psnr]}."
    return (
        f"Nearest to the originals by mean PSNR: {NAMES[by_psnr]} ({psnr}). "
        f"By mean SSIM: {NAMES[by_ssim]} ({ssim}). The two measures disagree, so the difference is small."
    )


def _gain(means: Means, recommended: str) -> str:
    (other,) = (name for name in MODELS if name != recommended)
    psnr = {name: values["psnr"] for name, values in means.items()}
    lead = f"Of the two models, {NAMES[recommended]} is nearer by {psnr[recommended] - psnr[other]:.2f} dB"
    gain = psnr[recommended] - psnr["bicubic"]
    if gain > 0:
        return f"{lead}, and {gain:.2f} dB above bicubic interpolation, which learns nothing: the demo recommends it."
    return (
        f"{lead}, but it is {-gain:.2f} dB below bicubic interpolation, which learns nothing: this training was too "
        "short to be of use. Give it more time with --minutes."
    )
