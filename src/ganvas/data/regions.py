"""Where in a picture a preparation degrades: everywhere, where a classifier looks, or in given boxes."""

from __future__ import annotations

from collections.abc import Callable, Set

from ganvas.data.boxes import boxes_by_picture
from ganvas.data.pairs import some_names
from ganvas.data.prepare_config import PrepareConfig
from ganvas.errors import DataError, ImageError
from ganvas.image.picture import Box, Picture

__all__ = ["RegionFinder", "boxes_on", "region_finder"]

OVERHANG = 0.1
"""Share of a side by which a detector's boxes may stick out without looking like a mistake."""

RegionFinder = Callable[[Picture, str], list[Box]]
"""A picture and its file's name -> boxes that lie on it; none where there is nothing to degrade."""


def region_finder(config: PrepareConfig, names: Set[str]) -> RegionFinder:
    """The finder that a configuration asks for.

    Args:
        config: `where` and what belongs to it.
        names: of the files there are, as a boxes file would call them.

    Raises:
        DataError: the boxes file names pictures that are not there.
        ConfigError: no such classifier or class.
        WeightsError: the classifier's weights are missing.
    """
    if config.where == "everywhere":
        return lambda picture, _name: [Box(0, 0, picture.width, picture.height)]
    return _from_classifier(config) if config.where == "classifier" else _from_file(config, names)


def boxes_on(picture: Picture, boxes: list[Box]) -> list[Box]:
    """The parts of boxes that lie on a picture.

    Raises:
        ImageError: one lies wholly off it, or would fit with its axes exchanged: a mistake in whoever gave it.
    """
    clipped = []
    for box in boxes:
        if _is_turned(picture, box):
            size = f"{picture.width} x {picture.height}"
            problem = f"{box} leaves the picture of {size} pixels, but would fit with rows and columns exchanged"
            raise ImageError(picture.source, f"{problem}; give left, top, right, bottom, of the upright picture")
        if (inside := box.clip(picture.height, picture.width)) is None:
            size = f"{picture.width} x {picture.height}"
            raise ImageError(picture.source, f"{box} lies wholly off the picture of {size} pixels; mend the boxes")
        clipped.append(inside)
    return clipped


def _is_turned(picture: Picture, box: Box) -> bool:
    """Whether a box leaves the picture far, and lies wholly on it with x and y exchanged."""
    height, width = picture.height, picture.width
    far = box.right > (1 + OVERHANG) * width or box.bottom > (1 + OVERHANG) * height
    fits = min(box.left, box.top) >= 0 and box.bottom <= width and box.right <= height
    return far and fits


def _from_file(config: PrepareConfig, names: Set[str]) -> RegionFinder:
    assert config.boxes is not None, config
    table = boxes_by_picture(config.boxes, names)
    if unknown := sorted(table.keys() - names):
        raise DataError(f"{config.boxes}: {len(unknown)} names have no picture: {some_names(unknown)}")
    return lambda picture, name: boxes_on(picture, table.get(name, []))


def _from_classifier(config: PrepareConfig) -> RegionFinder:
    from ganvas.localization import class_index, load_classifier, locate

    classifier = load_classifier(config.classifier)
    if config.class_name is not None:
        class_index(classifier, config.class_name)  # a wrong name is told before any picture is read

    def find(picture: Picture, _name: str) -> list[Box]:
        finding = locate(picture, classifier, class_name=config.class_name)
        seen = config.class_name is None or finding.score >= config.least_score
        return boxes_on(picture, list(finding.boxes)) if seen else []

    return find
