"""Splits into train, val and test, and near-duplicate detection that keeps copies in one split.

A difference hash (Krawetz 2013, "Kind of Like That"): the signs of the horizontal and vertical steps of a tiny gray
version, here both directions, 128 bits. It is invariant to scaling, recompression, and changes of brightness and
contrast; mirrored copies are found by comparison with the hash of the mirrored picture. Crops and rotations are not
found.

The hash describes the coarse layout alone, so pictures of one layout (wells, dishes, scans in one frame) resemble
copies. A group of `MIN_LAYOUT_GROUP` pictures or more is therefore compared again after subtraction of the group's mean
picture: copies share the remaining details, different pictures of one layout do not.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ganvas.data.layouts import Split
from ganvas.image.cover import bicubic_resize
from ganvas.image.picture import Picture

__all__ = [
    "EmptySplitWarning",
    "Fingerprint",
    "assign_splits",
    "fingerprint",
    "group_duplicates",
    "join_alike",
    "warn_of_empty_splits",
]


class EmptySplitWarning(UserWarning):
    """Warning that a requested split has no pictures."""


def assign_splits(
    keys: Sequence[str], groups: Sequence[int], *, val_fraction: float, test_fraction: float, seed: int
) -> list[Split]:
    """Assign a split to each picture; members of one group share it.

    The order depends on the keys and the seed alone, so neither names nor the order of files matter. A group that
    exceeds the remaining capacity of test or val goes to the next split.

    Args:
        keys: identifier of each picture, for example its content hash.
        groups: group of each picture; equal numbers belong together.
        val_fraction: fraction of the pictures, rounded to a whole number.
        test_fraction: likewise.
        seed: seed of the assignment.
    """
    # Groups are shuffled by a hash of their content, then fill test, val and train in this order. So a picture keeps
    # its split when the folder is renamed or reordered, and added pictures move few of the others.
    members = _members(groups)
    capacity = _capacities(len(keys), val_fraction=val_fraction, test_fraction=test_fraction)
    splits: list[Split] = ["train"] * len(keys)
    for group_members in sorted(
        members.values(), key=lambda some: min(_order_key(seed, keys[index]) for index in some)
    ):
        for split in capacity:
            if len(group_members) <= capacity[split]:
                capacity[split] -= len(group_members)
                for index in group_members:
                    splits[index] = split
                break
    return splits


def warn_of_empty_splits(
    splits: Sequence[Split],
    groups: Sequence[int],
    *,
    val_fraction: float,
    test_fraction: float,
    where: str,
    grouping: bool = True,
) -> None:
    """Warn of splits that should have pictures but have none, because groups are too large for them.

    Args:
        splits: splits of the pictures.
        groups: equal numbers belong together.
        val_fraction: share of the pictures that validation should have.
        test_fraction: likewise.
        where: the data set, for the message.
        grouping: groups are of near-duplicates; off: of equal pictures.
    """
    capacity = _capacities(len(splits), val_fraction=val_fraction, test_fraction=test_fraction)
    names: tuple[Split, ...] = ("val", "test")
    if empty := [split for split in names if capacity[split] and split not in splits]:
        ((_, largest),) = Counter(groups).most_common(1)
        alike = "near-duplicates" if grouping else "equal pictures"
        remedy = "if they are different pictures, use --no-grouping" if grouping else "add other pictures"
        warnings.warn(
            f"{where}: {alike} share a split, and {largest} of {len(splits)} pictures form one group of them, "
            f"so {' and '.join(empty)} got none; {remedy}",
            EmptySplitWarning,
            stacklevel=3,
        )


def _capacities(count: int, *, val_fraction: float, test_fraction: float) -> dict[Split, int]:
    """Return the number of pictures of each split except train, in the order in which they are filled."""
    return {"test": round(count * test_fraction), "val": round(count * val_fraction)}


def _order_key(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()


SIDE = 8
BITS = 2 * SIDE * SIDE
MAX_DISTANCE = 16
"""Bits of 128 that may differ: see docs/prepare.md for what copies and different pictures measure."""
ROWS_AT_ONCE = 128
MIN_LAYOUT_GROUP = 8
"""Group size from which a common layout is possible: sets of real copies are smaller."""
DETAIL_SIDE = 32
"""Pixels a side of the thumbnail in which details are compared."""
DETAIL_WINDOW = 5
"""Pixels of the thumbnail over which shading is averaged and removed."""
MIN_CORRELATION = 0.5
"""Correlation of two copies' details: see docs/prepare.md."""
MAX_DIFFERENCE = 3e-4
"""1 - correlation of whole thumbnails up to which pictures are copies, however little details they have."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Fingerprint by which pictures are compared.

    Attributes:
        hashes: (2, 2) uint64: the hash of the picture, and of its mirror image, 2 words each.
        thumbnail: (32, 32) uint8: gray, stretched to its own range.
    """

    hashes: NDArray[np.uint64]
    thumbnail: NDArray[np.uint8]


def fingerprint(picture: Picture) -> Fingerprint:
    """Return a picture's fingerprint. Depth does not matter; channels are averaged."""
    gray = picture.color.mean(axis=2, dtype=np.float32, keepdims=True)
    small = bicubic_resize(gray, DETAIL_SIDE, DETAIL_SIDE)[:, :, 0]
    low, high = float(small.min()), float(small.max())
    thumbnail = np.rint((small - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8)
    return Fingerprint(np.stack([_hash(gray), _hash(gray[:, ::-1])]), thumbnail)


def _hash(gray: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the difference hash, (2,) uint64, of gray (H, W, 1)."""
    across = bicubic_resize(gray, SIDE, SIDE + 1)[:, :, 0]
    down = bicubic_resize(gray, SIDE + 1, SIDE)[:, :, 0]
    bits = np.stack([across[:, 1:] > across[:, :-1], down[1:] > down[:-1]])
    return np.packbits(bits.reshape(2, -1), axis=1).view(np.uint64)[:, 0]


def group_duplicates(fingerprints: list[Fingerprint], *, max_distance: int = MAX_DISTANCE) -> list[int]:
    """Return for each picture the index of the first one of its group; pictures in a chain of copies share a group.

    Args:
        fingerprints: fingerprints of the pictures.
        max_distance: largest number of differing bits, of 128, between the hashes of copies.
    """
    # 1. Group by the hash: cheap enough to compare all pairs.
    hashes = np.stack([one.hashes for one in fingerprints]) if fingerprints else np.empty((0, 2, 2), np.uint64)
    pairs = _close_pairs(hashes, max_distance)
    groups = _connected(len(fingerprints), pairs)
    # 2. A large group is more likely one layout than one copied picture: keep of its pairs those alike in detail.
    large = {group for group, members in _members(groups).items() if len(members) >= MIN_LAYOUT_GROUP}
    if not large:
        return groups
    # 3. Group again by the pairs that remain.
    kept = [pair for pair in pairs if groups[pair[0]] not in large]
    for group, members in _members(groups).items():
        if group in large:
            alike = _alike_in_detail(np.stack([fingerprints[index].thumbnail for index in members]))
            kept += [(members[first], members[second]) for first, second in alike]
    return _connected(len(fingerprints), kept)


def join_alike(hashes: NDArray[np.uint64], groups: Sequence[int], *, max_distance: int = MAX_DISTANCE) -> list[int]:
    """Join groups of which two pictures are alike, such as scenes of a film: of two sides of a talk, or of a flash.

    Args:
        hashes: (N, 2, 2), plain and mirrored; flat pictures, whose hash has no bit set, join nothing.
        groups: group of each picture; equal numbers belong together.
        max_distance: largest number of differing bits, of 128.

    Returns:
        For each picture the index of the first one of its joined group.
    """
    firsts: dict[int, int] = {}
    together = [(index, firsts.setdefault(group, index)) for index, group in enumerate(groups)]
    flat = [not one.any() for one in hashes[:, 0]]
    close = [(row, column) for row, column in _close_pairs(hashes, max_distance) if not flat[row] and not flat[column]]
    return _connected(len(groups), [*together, *close])


def _members(groups: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    return members


def _connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of `count` items the first one connected to it by pairs."""
    parents = list(range(count))
    for first, second in pairs:
        low, high = sorted((_root(parents, first), _root(parents, second)))
        parents[high] = low
    return [_root(parents, index) for index in range(count)]


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]  # halve the path
        index = parents[index]
    return index


def _close_pairs(hashes: NDArray[np.uint64], max_distance: int) -> list[tuple[int, int]]:
    """Return pairs (i, j), i > j, whose hashes (N, 2, 2), plain or mirrored, differ in at most `max_distance` bits."""
    plain, pairs = hashes[:, 0], []
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        rows = hashes[start : start + ROWS_AT_ONCE]
        differing = np.bitwise_count(rows[:, None] ^ plain[None, :, None])  # (rows, N, 2, 2)
        distance = differing.sum(axis=3, dtype=np.uint8).min(axis=2)
        close = np.argwhere(np.tril(distance <= max_distance, k=start - 1))
        pairs += [(start + int(row), int(column)) for row, column in close]
    return pairs


def _alike_in_detail(thumbnails: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return pairs (i, j), i > j, of (N, 32, 32) whose deviations from the mean correlate, plain or mirrored."""
    normal = thumbnails.astype(np.float32) - thumbnails.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    normal /= np.maximum(np.linalg.norm(normal, axis=(1, 2), keepdims=True), 1e-9)
    turned = np.einsum("nij,ij->n", normal[:, :, ::-1] - normal, normal[0]) > 0
    normal[turned] = normal[turned, :, ::-1]  # all in the orientation of the first, so that the layout is one
    residuals = normal - normal.mean(axis=0)
    plain, mirrored = _details(residuals), _details(residuals[:, :, ::-1])
    flat, flat_mirrored = (images.reshape(len(images), -1) for images in (normal, normal[:, :, ::-1]))
    pairs = []
    for start in range(0, len(plain), ROWS_AT_ONCE):
        chosen = slice(start, start + ROWS_AT_ONCE)
        details = np.maximum(plain[chosen] @ plain.T, plain[chosen] @ mirrored.T)
        whole = np.maximum(flat[chosen] @ flat.T, flat[chosen] @ flat_mirrored.T)
        alike = np.argwhere(np.tril((details >= MIN_CORRELATION) | (whole >= 1 - MAX_DIFFERENCE), k=start - 1))
        pairs += [(start + int(row), int(column)) for row, column in alike]
    return pairs


def _details(residuals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the residuals without their shading as unit vectors, (N, 32 * 32)."""
    shading = ndimage.uniform_filter(residuals, (0, DETAIL_WINDOW, DETAIL_WINDOW), mode="nearest")
    details = (residuals - shading).reshape(len(residuals), -1)
    unit: NDArray[np.float32] = details / np.maximum(np.linalg.norm(details, axis=1, keepdims=True), 1e-9)
    return unit


def evenly(total: int, limit: int) -> list[int]:
    """Return at most `limit` of `total` indices, evenly spread, including both ends."""
    count = min(total, limit)
    return [round(index * (total - 1) / max(count - 1, 1)) for index in range(count)]
