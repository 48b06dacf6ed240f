"""Localization metrics of heat maps. Choe et al. 2020, arXiv:2001.07437 (MaxBoxAccV2, PxAP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import Box
from ganvas.localization.cam import boxes_from_map
from ganvas.localization.classifier import Floats

OVERLAPS = (0.3, 0.5, 0.7)
THRESHOLDS = tuple(share / 20 for share in range(20))


@dataclass(frozen=True)
class Spread:
    """Mean with the middle 95 % of its bootstrap distribution."""

    mean: float
    low: float
    high: float


def energy_inside(heat: Floats, mask: NDArray[np.bool_]) -> float:
    """Return the share of a map's energy inside a region; the region's share of the area for an empty map.

    Args:
        heat: (H, W), not negative.
        mask: (H, W) bool.
    """
    total = heat.sum(dtype=np.float64)
    return float(heat[mask].sum(dtype=np.float64) / total) if total > 0 else float(mask.mean())


def boxes_mask(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """Return a (height, width) bool mask of the union of the boxes."""
    inside: NDArray[np.bool_] = np.logical_or.reduce([box.mask(height, width) for box in boxes])
    return inside


def covered_shares(region: NDArray[np.bool_], boxes: Sequence[Box]) -> list[float]:
    """Return the share of each object's box, in [0, 1], that a region (H, W) covers."""
    return [float(region[box.mask(*region.shape)].mean()) for box in boxes]


def needless_share(region: NDArray[np.bool_], boxes: Sequence[Box]) -> float:
    """Return the share of the picture, in [0, 1], that a region (H, W) covers outside all objects' boxes."""
    return float((region & ~boxes_mask(boxes, *region.shape)).mean())


def centered_gaussian(height: int, width: int, *, spread: float) -> Floats:
    """Return a centered Gaussian (height, width) in (0, 1], the baseline of the photographers' center bias.

    Args:
        height: rows.
        width: columns.
        spread: standard deviation as a share of each side.
    """
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * spread**2)).astype(np.float32)


def concentrated_share(heat: Floats) -> float:
    """Return the effective area of a map, in (0, 1]: (sum h)^2 / (H W sum h^2), 1 for a flat one. heat: (H, W)."""
    values = heat.astype(np.float64)
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (squares * values.size) if squares > 0 else 1.0


def matched_gaussian(heat: Floats) -> Floats:
    """Return the centered Gaussian (H, W) that is as concentrated as a map.

    Concentration alone increases the energy inside a box: a point in the middle is inside most boxes.
    """
    wanted, narrow, wide = concentrated_share(heat), 0.005, 50.0
    for _ in range(40):
        middle = (narrow * wide) ** 0.5
        covered = concentrated_share(centered_gaussian(*heat.shape, spread=middle))
        narrow, wide = (middle, wide) if covered < wanted else (narrow, middle)
    return centered_gaussian(*heat.shape, spread=(narrow * wide) ** 0.5)


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union, in [0, 1]."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(width, 0) * max(height, 0)
    return shared / (_area(one) + _area(other) - shared)


def best_overlaps(heat: Floats, boxes: Sequence[Box], *, thresholds: Sequence[float] = THRESHOLDS) -> Floats:
    """Return (T,): the largest overlap of a found box with a true box at each threshold.

    Args:
        heat: (H, W), not negative.
        boxes: the true boxes.
        thresholds: shares of the heat's maximum.
    """
    best = [
        max(
            (
                overlap(found, box)
                for found in boxes_from_map(heat, threshold=share, largest_only=False)
                for box in boxes
            ),
            default=0,
        )
        for share in thresholds
    ]
    return np.array(best, np.float32)


def max_box_acc_v2(chosen_on: Floats, reported_on: Floats) -> float:
    """Compute MaxBoxAccV2 in [0, 1]: the share found, averaged over IoU 0.3, 0.5 and 0.7 at the best thresholds.

    Args:
        chosen_on: (N, T) from `best_overlaps`, of the pictures for choosing the thresholds.
        reported_on: (M, T), of the pictures for the result.
    """
    return float(box_hits(chosen_on, reported_on).mean())


def box_hits(chosen_on: Floats, reported_on: Floats) -> Floats:
    """Return (M, 3): 1 where a picture is found at IoU 0.3, 0.5, 0.7, at the best threshold of `chosen_on`."""
    columns = []
    for needed in OVERLAPS:
        best = int((chosen_on >= needed).mean(axis=0).argmax())
        columns.append(reported_on[:, best] >= needed)
    return np.stack(columns, axis=1).astype(np.float32)


def pixel_average_precision(heats: Sequence[Floats], masks: Sequence[NDArray[np.bool_]]) -> float:
    """Compute PxAP in [0, 1]: average precision over the pixels of all pictures together.

    Args:
        heats: N of (H, W).
        masks: N of (H, W) bool, at least one pixel of them True.
    """
    scores = np.concatenate([heat.ravel() for heat in heats])
    inside = np.concatenate([mask.ravel() for mask in masks])
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    found = np.cumsum(inside[order])[last_of_ties].astype(np.float64)
    precision = found / (last_of_ties + 1)
    return float((precision * np.diff(found, prepend=0)).sum() / inside.sum())


def bootstrap(values: Sequence[float] | Floats, *, repeats: int = 5000, seed: int = 0) -> Spread:
    """Return the mean of values (N,) with its bootstrap interval from resamples of size N."""
    sample = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(len(sample), size=(repeats, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), [0.025, 0.975])
    return Spread(float(sample.mean()), float(low), float(high))


def _area(box: Box) -> int:
    return (box.right - box.left) * (box.bottom - box.top)
