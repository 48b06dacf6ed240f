"""Boxes and masks from heat maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box
from ganvas.localization.evidence import Floats

THRESHOLD = 0.2


def mask_from_map(heat: Floats, *, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """(H, W) bool: above `threshold` of the maximum (Zhou et al. 2016, Sec. 3.2: 20 %); all False where nothing is hot.

    Args:
        heat: (H, W), not negative.
        threshold: share of the maximum, in [0, 1).
    """
    mask: NDArray[np.bool_] = heat > threshold * heat.max()
    return mask


def boxes_from_map(heat: Floats, *, threshold: float = THRESHOLD, largest_only: bool = True) -> list[Box]:
    """The boxes round the mask's connected parts, by area of the part, largest first; none where nothing is hot.

    Args:
        heat: (H, W), not negative.
        threshold: share of the maximum, in [0, 1).
        largest_only: the paper's one box.
    """
    from scipy import ndimage  # slow to import, and looking without boxes needs none of it

    labels, count = ndimage.label(mask_from_map(heat, threshold=threshold))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable")[: 1 if largest_only else count]
    slices = ndimage.find_objects(labels)
    return [Box(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in (slices[i] for i in order)]
