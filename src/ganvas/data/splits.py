"""Splitting of pictures into train, val and test, groups of near-duplicates whole."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence

from ganvas.data.pairs import Split

__all__ = ["EmptySplitWarning", "share_out", "warn_of_empty_splits"]


class EmptySplitWarning(UserWarning):
    """A split that was asked for got no pictures."""


def share_out(
    keys: Sequence[str], groups: Sequence[int], *, val_fraction: float, test_fraction: float, seed: int
) -> list[Split]:
    """A split for each picture; members of one group share it.

    The order comes from the keys and the seed alone, so neither names nor the order of files matter. A group that
    would exceed what test or val still has room for goes on to the next.

    Args:
        keys: what identifies each picture, for example its content hash.
        groups: equal numbers belong together.
        val_fraction: share of the pictures, rounded to a whole number.
        test_fraction: likewise.
        seed: other seeds share out otherwise.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    room = _room(len(keys), val_fraction=val_fraction, test_fraction=test_fraction)
    splits: list[Split] = ["train"] * len(keys)
    for group_members in sorted(members.values(), key=lambda some: min(_place(seed, keys[index]) for index in some)):
        for split in room:
            if len(group_members) <= room[split]:
                room[split] -= len(group_members)
                for index in group_members:
                    splits[index] = split
                break
    return splits


def warn_of_empty_splits(
    splits: Sequence[Split], groups: Sequence[int], *, val_fraction: float, test_fraction: float, where: str
) -> None:
    """Warn where a split that should have pictures has none, because groups are too large for it."""
    room = _room(len(splits), val_fraction=val_fraction, test_fraction=test_fraction)
    names: tuple[Split, ...] = ("val", "test")
    if empty := [split for split in names if room[split] and split not in splits]:
        ((_, largest),) = Counter(groups).most_common(1)
        warnings.warn(
            f"{where}: near-duplicates share a split, and {largest} of {len(splits)} pictures form one group of them, "
            f"so {' and '.join(empty)} got none; if they are different pictures, give --no-grouping",
            EmptySplitWarning,
            stacklevel=3,
        )


def _room(count: int, *, val_fraction: float, test_fraction: float) -> dict[Split, int]:
    """Pictures wanted in each split but train, in the order in which they are filled."""
    return {"test": round(count * test_fraction), "val": round(count * val_fraction)}


def _place(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()
