"""Ordinary photographs that lie inside the wheels of scikit-image and scikit-learn: no download, no faces."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import MissingDependency


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
"""Their sources and licences: docs/demo.md."""


def locate_photograph(photograph: Photograph) -> Path:
    """Where it lies on this machine. Raises MissingDependency where its package is not installed."""
    package = importlib.util.find_spec(photograph.package)
    if package is None or not package.submodule_search_locations:
        distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[photograph.package]
        raise MissingDependency(distribution, "demo", "the demo's photographs")
    return Path(next(iter(package.submodule_search_locations))) / photograph.path
