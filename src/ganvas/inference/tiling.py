"""Large pictures in overlapped tiles.

Two plans. `exact_tiles`: each output pixel is computed with all the surroundings that can reach it, on the network's
own grid, so tiles equal the whole picture. `blended_tiles`: where nothing finite is enough (a normalisation takes its
statistics from the whole picture) or the tile is too small, neighbours overlap and fade linearly into each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError

Floats = NDArray[np.float32]


class TilingWarning(UserWarning):
    """Tiles do not equal the whole picture; the message says why and what to do."""


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the padded picture.

    Attributes:
        start, stop: what the network is given.
        keep_start, keep_stop: the part of the result that is used.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class TilePlan:
    """How a picture is cut.

    Attributes:
        rows, columns: the tiles along each axis.
        fade: pixels over which neighbours fade into each other; 0 in an exact plan.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    fade: int


def plan_tiles(
    height: int, width: int, *, tile: int, overlap: int | None, multiple: int, context: int | None
) -> tuple[TilePlan, str | None]:
    """The exact plan where there is one, else the blended one and a sentence why.

    Args:
        height: of the padded picture, a multiple of `multiple`.
        width: likewise.
        tile: largest side that the network may be given.
        overlap: surroundings that each tile sees on each side; unset: as much as exactness needs.
        multiple: `Method.size_multiple`.
        context: `Method.context`.

    Raises:
        ConfigError: the tile is smaller than `multiple`, or the overlap leaves nothing of it.
    """
    size = tile // multiple * multiple
    if size == 0:
        raise ConfigError(f"tile {tile} is smaller than what the network takes at once; give at least {multiple}")
    if overlap is not None and not 0 <= 2 * overlap < size:
        raise ConfigError(f"overlap {overlap} must be at least 0 and less than half of the tile ({size})")
    if height <= size and width <= size:
        return TilePlan((Span(0, height, 0, height),), (Span(0, width, 0, width),), 0), None
    margin = _round_up(context if overlap is None else overlap, multiple) if context is not None else 0
    if context is not None and margin >= context and 2 * margin < size:
        plans = [exact_tiles(length, size, margin) for length in (height, width)]
        return TilePlan(plans[0], plans[1], 0), None
    blended = size // 8 if overlap is None else overlap
    plans = [blended_tiles(length, size, blended, multiple) for length in (height, width)]
    return TilePlan(plans[0], plans[1], 2 * blended), _reason(context, multiple)


def exact_tiles(length: int, tile: int, margin: int) -> tuple[Span, ...]:
    """Neighbouring parts without overlap, each computed from `margin` more pixels on both sides."""
    part = tile - 2 * margin
    starts = range(0, length, part)
    return tuple(Span(max(s - margin, 0), min(s + part + margin, length), s, min(s + part, length)) for s in starts)


def blended_tiles(length: int, tile: int, margin: int, multiple: int) -> tuple[Span, ...]:
    """Tiles of one size, neighbours sharing at least 2 `margin` pixels, on the network's grid where that can be."""
    if length <= tile:
        return (Span(0, length, 0, length),)
    step = tile - 2 * margin
    step = step // multiple * multiple or step
    starts = [*range(0, length - tile, step), length - tile]
    return tuple(Span(start, start + tile, start, start + tile) for start in starts)


def run_tiles(image: Floats, plan: TilePlan, translate: Callable[[Floats], Floats]) -> Floats:
    """(C, H, W) -> (C', H, W), tile by tile; needs little more memory than the picture and one tile."""
    height, width = image.shape[1:]
    total: Floats | None = None
    weights = np.zeros((height, width), dtype=np.float32)
    for row, column in product(plan.rows, plan.columns):
        result = translate(np.ascontiguousarray(image[:, row.start : row.stop, column.start : column.stop]))
        result = result[:, row.keep_start - row.start :, column.keep_start - column.start :]
        result = result[:, : row.keep_stop - row.keep_start, : column.keep_stop - column.keep_start]
        weight = np.outer(_fade(row, height, plan.fade), _fade(column, width, plan.fade))
        if total is None:
            total = np.zeros((result.shape[0], height, width), dtype=np.float32)
        place = slice(row.keep_start, row.keep_stop), slice(column.keep_start, column.keep_stop)
        total[:, *place] += result * weight
        weights[place] += weight
    assert total is not None
    assert weights.min() > 0
    total /= weights
    return total


def _fade(span: Span, length: int, fade: int) -> Floats:
    """Weights along one axis of a tile: 1, falling to 0 over `fade` pixels where a neighbour follows."""
    size = span.keep_stop - span.keep_start
    weights = np.ones(size, dtype=np.float32)
    if fade:
        ramp = np.minimum((np.arange(size, dtype=np.float32) + 0.5) / fade, 1)
        weights *= ramp if span.keep_start > 0 else 1
        weights *= ramp[::-1] if span.keep_stop < length else 1
    return weights


def _round_up(value: int | None, multiple: int) -> int:
    return -(-(value or 0) // multiple) * multiple


def _reason(context: int | None, multiple: int) -> str:
    blend = "so tiles differ slightly from the picture in one piece; seams are blended"
    if context is None:
        return f"every output pixel depends on the whole picture (a normalisation or noise), {blend}"
    least = 2 * _round_up(context, multiple) + multiple
    return f"an output pixel depends on {context} pixels around it, {blend}; tiles of {least} or more would be exact"
