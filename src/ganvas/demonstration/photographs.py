"""Photographs of the demonstration and the regions of them that are covered."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ganvas.errors import MissingDependency
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.localization import Classifier, Finding, locate, overlay

BLOCK = 8
"""Side of a mosaic's block, in pixels."""
THRESHOLD = 0.5
"""Share of the heat's maximum above which a pixel counts: tighter than the paper's 0.2."""


@dataclass(frozen=True)
class Photograph:
    """One photograph inside a package, and whether the demo trains on it.

    Attributes:
        name: its name in the report.
        package: the importable package that carries it.
        path: its place inside that package.
        split: `train`, or `unseen` for those that training never touches.
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
"""Their sources and licenses: docs/demo.md."""


def locate_photograph(photograph: Photograph) -> Path:
    """Return the path on this machine. Raises MissingDependency where its package is not installed."""
    package = importlib.util.find_spec(photograph.package)
    if package is None or not package.submodule_search_locations:
        distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[photograph.package]
        raise MissingDependency(distribution, "demo", "the demo's photographs")
    return Path(next(iter(package.submodule_search_locations))) / photograph.path


@dataclass(frozen=True, eq=False)
class Covered:
    """One photograph, what was found in it, and the same with that covered."""

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
    """Find the likeliest class, mosaic the box round its largest part, and write the overlay."""
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
    """Widen the box to whole blocks of a grid at the picture's corner, or cut it to the last whole ones."""
    right, bottom = picture.width // BLOCK * BLOCK, picture.height // BLOCK * BLOCK
    return Box(
        box.left // BLOCK * BLOCK,
        box.top // BLOCK * BLOCK,
        min(-(-box.right // BLOCK) * BLOCK, right),
        min(-(-box.bottom // BLOCK) * BLOCK, bottom),
    )
