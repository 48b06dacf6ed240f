"""Agreement of the splits and sides of a data set on channels and sample type.

A run has one input and one output, so what training and validation read must be alike. Gray pictures among color ones
are repeated to RGB, wherever they lie: a gray file in a split, a gray side of a split, or a wholly gray split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ganvas.data.cache import Cache, UnpairedCache
from ganvas.data.memmap import Side
from ganvas.data.pairs import Split
from ganvas.errors import DataError
from ganvas.image.picture import PictureSpec

__all__ = ["agree_across_sides", "agree_across_splits", "repeat_gray"]

COLOR = 3
"""Channels that gray is repeated to."""


def agree_across_splits(splits: Mapping[Split, Cache | UnpairedCache]) -> None:
    """Bring each side to the same channels in all splits, by repeating gray ones in place.

    Raises:
        DataError: a side has another sample type or other channels in one split than in another.
    """
    caches = list(splits.values())
    for name in caches[0].sides:
        sides = [cache.sides[name] for cache in caches]
        repeat_gray(sides)
        if len({side.spec for side in sides}) > 1:
            told = ", ".join(f"{split} is {_told(side.spec)}" for split, side in zip(splits, sides, strict=True))
            raise DataError(f"side {name} differs from split to split: {told}; convert the pictures of one of them")


def agree_across_sides(caches: Iterable[Cache | UnpairedCache]) -> None:
    """Bring both sides to the same channels where one is gray, for methods that need as many on both."""
    repeat_gray([side for cache in caches for side in cache.sides.values()])


def repeat_gray(sides: Iterable[Side], *, like: int | None = None) -> None:
    """Repeat gray sides where others are in color, or where `like` channels are wanted and those are three."""
    sides = list(sides)
    if {side.spec.channels for side in sides} | ({like} if like else set()) == {1, COLOR}:
        for side in sides:
            side.repeat_gray(COLOR)


def _told(spec: PictureSpec) -> str:
    return f"{spec.dtype} with {spec.channels} channel{'s' * (spec.channels > 1)}"
