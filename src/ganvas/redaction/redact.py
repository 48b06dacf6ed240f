"""Redaction of one picture: cover, verify, and widen the region until it passes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ganvas.errors import ImageError
from ganvas.image.cover import Cover, Style, cover_picture
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import (
    Detection,
    DetectionConfig,
    Detector,
    covered_boxes,
    find_in_picture,
    outside,
    region_of,
)
from ganvas.redaction.verifier import Scores, Verifier

__all__ = ["CosmeticWarning", "Redaction", "cosmetic", "redact_detected", "redact_picture"]

Mask = NDArray[np.bool_]
DEFAULT_BLOCKS = 4
MOST_BLOCKS = 6
"""Largest number of mosaic blocks across the longer side of a region; a retrained attacker recognizes content under
more blocks (McPherson et al. 2016)."""
WIDENING = 0.05
"""Widening of a region per round, as a share of the picture's longer side times the number of the round."""
MAX_ROUNDS = 6
NEARLY_WHOLE = 0.9
"""Largest share of the picture in a region; larger regions become the whole picture."""


class CosmeticWarning(UserWarning):
    """Warning that a style is only cosmetic: attackers can recognize what it covers."""


@dataclass(frozen=True, eq=False)
class Redaction:
    """Covered picture and its provenance.

    Attributes:
        picture: the covered picture.
        region: covered region, (H, W) bool.
        style: the applied style; a whole picture is always covered with a solid color.
        score_before: scores of the original; None without a verifier.
        score_after: scores of the covered picture; None without a verifier.
        widened: number of times that the region was widened.
        detections: detections in the original.
    """

    picture: Picture
    region: Mask
    style: Style
    score_before: Scores | None
    score_after: Scores | None
    widened: int
    detections: tuple[Detection, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the whole picture is covered."""
        return bool(self.region.all())

    @property
    def boxes(self) -> list[Box]:
        """Bounding boxes of the parts of the region."""
        return [Box(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(_parts(self.region)[0])]


def redact_picture(
    picture: Picture, *, region: Mask | None = None, verifier: Verifier | None = None, how: Cover | None = None
) -> Redaction:
    """Cover the given and the detected regions, verify the result, and widen the region until it passes.

    No content is refused, because redaction must accept every picture. After MAX_ROUNDS the whole picture is covered.

    Args:
        picture: any depth and number of channels; all channels are covered, with full opacity.
        region: (H, W) bool, region to cover in any case.
        verifier: verifier of the class to remove; without one only `region` is covered.
        how: the style; by default solid black, and 4 blocks across the region for a mosaic without a number of blocks.

    Raises:
        ImageError: the region has another size, or the classifier failed, so nothing may be released.
    """
    style = _sized(how or Cover())
    if problem := cosmetic(style):
        warnings.warn(problem, CosmeticWarning, stacklevel=2)
    start = np.zeros((picture.height, picture.width), dtype=bool) if region is None else region.astype(bool)
    if start.shape != (picture.height, picture.width):
        size = f"{start.shape[1]} x {start.shape[0]}"
        raise ImageError(picture.source, f"a mask of {size} pixels for {picture.width} x {picture.height}")
    if verifier is None:
        return Redaction(_covered(picture, start, style), start, style.style, None, None, 0)
    return _until_it_passes(picture, start, verifier, style)


def redact_detected(
    picture: Picture,
    detectors: Sequence[Detector],
    config: DetectionConfig,
    *,
    region: Mask | None = None,
    verifier: Verifier | None = None,
    how: Cover | None = None,
) -> Redaction:
    """Cover detections in addition to the regions of `redact_picture`, until detectors find nothing in the result.

    After MAX_ROUNDS the whole picture is covered.

    Args:
        picture: see `redact_picture`.
        detectors: see `ganvas.localization.load.load_detectors`.
        config: minimum score, margin, and kept boxes.
        region: see `redact_picture`.
        verifier: see `redact_picture`.
        how: see `redact_picture`.

    Raises:
        ImageError: see `redact_picture`; or a detector failed.
    """
    size = picture.height, picture.width
    found = first = find_in_picture(picture, detectors, config)
    region, rounds = np.zeros(size, dtype=bool) if region is None else region, 0
    while True:
        grown = replace(config, margin=(1 + rounds) * config.margin + WIDENING * rounds)
        region = region | region_of(covered_boxes(found, grown, *size), config, *size)
        redaction = redact_picture(picture, region=region, verifier=verifier, how=how)
        found = find_in_picture(redaction.picture, detectors, config)
        if redaction.style == "solid":
            found = outside(found, redaction.region)
        if not found:
            break
        rounds += 1
        if rounds > MAX_ROUNDS:
            region, how = np.ones(size, dtype=bool), Cover(style="solid")
            redaction = redact_picture(picture, region=region, verifier=verifier, how=how)
            break
        region = redaction.region
    return replace(redaction, widened=redaction.widened + rounds, detections=tuple(first))


def cosmetic(how: Cover) -> str | None:
    """Return the reason why a style is only cosmetic; None for a style suitable for release."""
    remedy = f"for release use solid, or at most {MOST_BLOCKS} blocks across a region"
    if how.style == "blur":
        return f"cosmetic: a blur can be undone in part and is the least private style; {remedy}"
    if how.style == "mosaic" and how.block_size is not None:
        return f"cosmetic: with a block size in pixels, a region may contain many blocks; {remedy}"
    if how.style == "mosaic" and (how.blocks or DEFAULT_BLOCKS) > MOST_BLOCKS:
        return f"cosmetic: an object under {how.blocks} blocks can be recognized; {remedy}"
    return None


def _until_it_passes(picture: Picture, region: Mask, verifier: Verifier, how: Cover) -> Redaction:
    before = verifier.scores(picture)
    widened, last = -1 + bool(region.any()), False
    while True:
        covered = _covered(picture, region, how)
        after = verifier.scores(covered) if region.any() else before
        if last or verifier.passes(after):
            break
        # Add the region that the classifier still finds in the covered picture, and a margin that grows with each
        # round.
        widened += 1
        region = _wider(region, verifier.find(covered), widened)
        if widened > MAX_ROUNDS or region.mean() > NEARLY_WHOLE:
            region, how, last = np.ones_like(region), Cover(style="solid", color=how.color), True
    return Redaction(covered, region, how.style, before, after, max(widened, 0))


def _wider(region: Mask, found: Mask, number: int) -> Mask:
    """Return the found region in the first round, and later its union with the dilated previous region."""
    if not region.any():
        return found
    reach = max(1, round(WIDENING * number * max(region.shape)))
    grown = ndimage.maximum_filter(region.astype(np.uint8), size=2 * reach + 1, mode="constant")
    return (grown > 0) | found


def _covered(picture: Picture, region: Mask, how: Cover) -> Picture:
    """Cover each part of the region separately, so that a mosaic has few blocks across each."""
    if how.style == "solid":
        return cover_picture(picture, region, how) if region.any() else picture
    covered = picture
    labels, count = _parts(region)
    for number in range(1, count + 1):
        covered = cover_picture(covered, labels == number, how)
    return covered


def _parts(region: Mask) -> tuple[NDArray[np.integer[Any]], int]:
    """Return (H, W) labels of the connected parts (8-connectivity), and their number."""
    labels, count = ndimage.label(region, structure=np.ones((3, 3)))
    return np.asarray(labels), int(count)


def _sized(how: Cover) -> Cover:
    bare = how.style == "mosaic" and how.blocks is None and how.block_size is None
    return replace(how, blocks=DEFAULT_BLOCKS) if bare else how
