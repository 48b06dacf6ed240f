"""Which pictures show the same thing, so that one is never learnt from and another tested on.

A difference hash (Krawetz 2013, "Kind of Like That"): the signs of the horizontal and vertical steps of a tiny grey
version, here both directions, 128 bits. It survives scaling, recompression, and changes of brightness and contrast;
mirrored copies are found by comparing with the mirrored picture's hash as well. Crops and rotations are not found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ganvas.image.cover import bicubic_resize
from ganvas.image.picture import Picture

__all__ = ["Fingerprint", "fingerprint", "group_duplicates"]

SIDE = 8
BITS = 2 * SIDE * SIDE
MAX_DISTANCE = 16
"""Bits of 128 that may differ: see docs/prepare.md for what copies and different pictures measure."""
ROWS_AT_ONCE = 128

Fingerprint = NDArray[np.uint64]
"""(2, 2): the hash of the picture, and of its mirror image, 2 words each."""


def fingerprint(picture: Picture) -> Fingerprint:
    """(2, 2) uint64: the hash of a picture and of its mirror image. Depth does not matter; channels are averaged."""
    grey = picture.colour.mean(axis=2, dtype=np.float32, keepdims=True)
    return np.stack([_hash(grey), _hash(grey[:, ::-1])])


def _hash(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(2,) uint64. grey: (H, W, 1)."""
    across = bicubic_resize(grey, SIDE, SIDE + 1)[:, :, 0]
    down = bicubic_resize(grey, SIDE + 1, SIDE)[:, :, 0]
    bits = np.stack([across[:, 1:] > across[:, :-1], down[1:] > down[:-1]])
    return np.packbits(bits.reshape(2, -1), axis=1).view(np.uint64)[:, 0]


def group_duplicates(fingerprints: list[Fingerprint], *, max_distance: int = MAX_DISTANCE) -> list[int]:
    """For each picture the index of the first picture of its group; pictures in a chain of copies share a group."""
    parents = list(range(len(fingerprints)))
    for first, second in _close_pairs(fingerprints, max_distance):
        low, high = sorted((_root(parents, first), _root(parents, second)))
        parents[high] = low
    return [_root(parents, index) for index in range(len(parents))]


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]  # halve the path
        index = parents[index]
    return index


def _close_pairs(fingerprints: list[Fingerprint], max_distance: int) -> list[tuple[int, int]]:
    """Pairs (i, j), i > j, whose hashes, plain or mirrored, differ in at most `max_distance` bits."""
    if not fingerprints:
        return []
    table = np.stack(fingerprints)  # (N, 2, 2)
    plain, pairs = table[:, 0], []
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = table[start : start + ROWS_AT_ONCE]
        differing = np.bitwise_count(rows[:, None] ^ plain[None, :, None])  # (rows, N, 2, 2)
        distance = differing.sum(axis=3, dtype=np.uint8).min(axis=2)
        close = np.argwhere(np.tril(distance <= max_distance, k=start - 1))
        pairs += [(start + int(row), int(column)) for row, column in close]
    return pairs
