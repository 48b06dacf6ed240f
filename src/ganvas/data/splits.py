"""Share pictures out to train, val and test, groups of near-duplicates whole."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from ganvas.data.pairs import Split

__all__ = ["share_out"]


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
    room: dict[Split, int] = {"test": round(len(keys) * test_fraction), "val": round(len(keys) * val_fraction)}
    splits: list[Split] = ["train"] * len(keys)
    for group_members in sorted(members.values(), key=lambda some: min(_place(seed, keys[index]) for index in some)):
        for split in room:
            if len(group_members) <= room[split]:
                room[split] -= len(group_members)
                for index in group_members:
                    splits[index] = split
                break
    return splits


def _place(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()
