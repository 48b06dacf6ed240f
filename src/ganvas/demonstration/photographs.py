"""Photographs of the demonstration, their covers, and the metrics of their restorations."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import MissingDependency
from ganvas.image.cover import Cover, bicubic_resize, block_means, cover_picture
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.image.ranges import to_unit
from ganvas.localization import Classifier, Finding, locate, overlay
from ganvas.metrics.fidelity import psnr, ssim

BLOCK = 8
"""Side of a mosaic's block, in pixels."""
THRESHOLD = 0.5
"""Threshold of the heat map as a share of its maximum; tighter than the paper's 0.2."""


@dataclass(frozen=True)
class Photograph:
    """One photograph inside a package, and whether the demo trains on it.

    Attributes:
        name: its name in the report.
        package: the importable package that contains it.
        path: its path inside that package.
        split: `train`, or `unseen` for held-out photographs.
    """

    name: str
    package: Literal["skimage", "sklearn"]
    path: str
    split: Literal["train", "unseen"]


PHOTOGRAPHS = (
    Photograph("pagoda", "sklearn", "datasets/images/china.jpg", "train"),
    Photograph("motorcycle", "skimage", "data/motorcycle_left.png", "train"),
    Photograph("rocket", "skimage", "data/rocket.jpg", "train"),
    Photograph("tissue", "skimage", "data/ihc.png", "train"),
    Photograph("bricks", "skimage", "data/brick.png", "train"),
    Photograph("coins", "skimage", "data/coins.png", "train"),
    Photograph("cat", "skimage", "data/chelsea.png", "unseen"),
    Photograph("coffee", "skimage", "data/coffee.png", "unseen"),
    Photograph("dahlia", "sklearn", "datasets/images/flower.jpg", "unseen"),
)
"""Photographs of the demonstration; docs/demo.md lists sources and licenses."""


def locate_photograph(photograph: Photograph) -> Path:
    """Return the path on this machine. Raises MissingDependency if its package is not installed."""
    package = importlib.util.find_spec(photograph.package)
    if package is None or not package.submodule_search_locations:
        distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[photograph.package]
        raise MissingDependency(distribution, "demo", "the demo's photographs")
    return Path(next(iter(package.submodule_search_locations))) / photograph.path


@dataclass(frozen=True, eq=False)
class Covered:
    """Photograph with its finding and its covered copy."""

    photograph: Photograph
    original: Picture
    finding: Finding
    region: Box
    mosaicked: Picture

    @property
    def mask_picture(self) -> Picture:
        """Return the mask: white where covered, black elsewhere."""
        inside = self.region.mask(self.original.height, self.original.width)
        return Picture((inside[:, :, None] * np.uint8(255)).astype(np.uint8))

    def cut(self, picture: Picture) -> Picture:
        """Return the covered region of a picture of the same size."""
        box = self.region
        return Picture(picture.pixels[box.top : box.bottom, box.left : box.right])


def cover_photograph(photograph: Photograph, out: Path, classifier: Classifier) -> Covered:
    """Find the most likely class, mosaic the box around its largest part, and write the overlay."""
    split = "train" if photograph.split == "train" else "test"
    original = read_image(out / "photographs" / split / f"{photograph.name}.png")
    finding = locate(original, classifier, threshold=THRESHOLD, largest_only=True)
    region = on_grid(finding.boxes[0], original)
    write_image(
        out / "overlays" / f"{photograph.name}.png", Picture(overlay(original.as_rgb8(), finding.heat, boxes=[region]))
    )
    mosaicked = cover_picture(original, region, Cover(style="mosaic", block_size=BLOCK))
    return Covered(photograph, original, finding, region, mosaicked)


def on_grid(box: Box, picture: Picture) -> Box:
    """Expand the box to whole blocks of a grid from the picture's corner, limited to whole blocks in the picture."""
    right, bottom = picture.width // BLOCK * BLOCK, picture.height // BLOCK * BLOCK
    return Box(
        box.left // BLOCK * BLOCK,
        box.top // BLOCK * BLOCK,
        min(-(-box.right // BLOCK) * BLOCK, right),
        min(-(-box.bottom // BLOCK) * BLOCK, bottom),
    )


RENDITIONS = ("mosaic", "bicubic", "l1", "l1_gan")
"""Measured pictures: the mosaic, its interpolated blocks, and the restorations of the two runs."""
DECIMALS = {"psnr": 3, "ssim": 4}
"""Measure -> number of decimals."""
NAMES = {"mosaic": "the mosaic", "bicubic": "bicubic interpolation", "l1": "L1 alone", "l1_gan": "L1 + GAN"}
"""Rendition -> its name in a sentence."""
MODELS = ("l1", "l1_gan")
"""Renditions by trained models."""
Means = Mapping[str, Mapping[str, float]]
"""Rendition -> {"psnr" in dB, "ssim"}, means over the unseen photographs."""


@dataclass(frozen=True, eq=False)
class Restoration:
    """One unseen photograph: its renditions and their distances from the original.

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
    """Fill the region by bicubic interpolation of its block means, a baseline without learning."""
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
    """Conclusion from the mean scores.

    Attributes:
        recommended: the model with the higher mean PSNR.
        nearest: measure -> the rendition with the highest mean, models or not.
        sentences: the conclusion as text.
    """

    recommended: str
    nearest: Mapping[str, str]
    sentences: tuple[str, ...]


def conclude(means: Means) -> Conclusion:
    """Return the conclusion from the mean scores; ties go to the cheaper rendition."""
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
        f"By mean SSIM: {NAMES[by_ssim]} ({ssim}). The two metrics disagree, so the difference is small."
    )


def _gain(means: Means, recommended: str) -> str:
    (other,) = (name for name in MODELS if name != recommended)
    psnr = {name: values["psnr"] for name, values in means.items()}
    lead = f"Of the two models, {NAMES[recommended]} is nearer by {psnr[recommended] - psnr[other]:.2f} dB"
    gain = psnr[recommended] - psnr["bicubic"]
    if gain > 0:
        return f"{lead}, and {gain:.2f} dB above bicubic interpolation, which learns nothing: the demo recommends it."
    return (
        f"{lead}, but it is {-gain:.2f} dB below bicubic interpolation, which learns nothing: this training run was "
        "too short. Increase --minutes."
    )
