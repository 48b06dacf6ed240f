"""Padding to multiples and overlapped tiles, for pictures of any size.

Two tile plans exist. `exact_tiles`: each output pixel is computed with all inputs that influence it, on the network's
own grid, so tiles equal the whole picture. `blended_tiles`: if the context is infinite (a norm takes its statistics
from the whole picture) or the tile is too small, adjacent tiles overlap and are blended linearly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Picture
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.progress import SILENT, Progress

SMALLEST_SIDE = 16
"""Side in pixels to which smaller pictures are padded, so that networks can mirror their borders."""


def pad_to_multiple(images: Tensor, multiple: int, *, smallest: int = 1) -> Tensor:
    """Mirror rows and columns of (N, C, H, W) at the bottom and right until the network accepts both sides.

    The top left corner is not moved: a network with strides has a grid, with which a picture with its own grid (a
    mosaic, JPEG blocks) must be aligned as in training. With symmetric padding, mosaics were not restored.
    """
    for dim in (-2, -1):
        size = images.shape[dim]
        wanted = padded_size(size, multiple, smallest=smallest)
        if wanted > size:
            images = images.index_select(dim, torch.from_numpy(mirrored(size, 0, wanted)).to(images.device))
    return images


def padded_size(size: int, multiple: int, fixed: int | None = None, *, smallest: int = 1) -> int:
    """Return the smallest size from here on that the network accepts, or that tiles of its fixed size can cover."""
    if fixed is not None and size <= fixed:
        return fixed
    return -(-max(size, SMALLEST_SIDE, smallest) // multiple) * multiple


def mirrored(size: int, start: int, stop: int) -> NDArray[np.intp]:
    """Return entries `start` to `stop` of 0 1 2 1 0 1 ..., indices that mirror an axis of `size` without its edge."""
    index = np.arange(start, stop) % max(2 * size - 2, 1)
    return np.where(index < size, index, 2 * size - 2 - index)


def translate_padded(method: Method, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
    """Pad, translate and crop: (N, C, H, W) in [-1, 1] of any size -> (N, C', scale H, scale W) in [-1, 1]."""
    height, width = (method.scale * side for side in images.shape[-2:])
    padded = pad_to_multiple(images, method.size_multiple, smallest=method.smallest_side)
    return method.translate(padded, direction=direction)[..., :height, :width]


Floats = NDArray[np.float32]
Make = Callable[["Span", "Span"], Floats]
"""Function from the rows and columns of a tile to the network's output (C', h, w)."""
Write = Callable[[int, int, Floats], None]
"""Function that receives (top, left, part): a finished part (C', h, w) of the result. Parts never overlap."""


class TilingWarning(UserWarning):
    """Warning that tiles differ from the whole picture; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the padded picture.

    Attributes:
        start, stop: the input of the network.
        keep_start, keep_stop: the part of the result that is used.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    def enlarged(self, scale: int) -> Span:
        """Return the span in pixels of a result `scale` times as large."""
        return Span(scale * self.start, scale * self.stop, scale * self.keep_start, scale * self.keep_stop)

    @property
    def kept(self) -> slice:
        """Part of the network's result that is used."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


@dataclass(frozen=True)
class TilePlan:
    """Plan of the tiles of a picture.

    Attributes:
        rows, columns: the tiles along each axis.
        fade: pixels over which adjacent tiles are blended; 0 in an exact plan.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    fade: int

    def enlarged(self, scale: int) -> TilePlan:
        """Return the plan in pixels of a result `scale` times as large."""
        rows, columns = (tuple(span.enlarged(scale) for span in spans) for spans in (self.rows, self.columns))
        return TilePlan(rows, columns, scale * self.fade)


def plan_tiles(
    height: int,
    width: int,
    *,
    tile: int | None,
    overlap: int | None,
    multiple: int,
    context: int | None,
    smallest: int = 1,
    fixed_size: tuple[int | None, int | None] = Method.fixed_size,
    blend_reason: str = Method.blend_reason,
) -> tuple[TilePlan, str | None]:
    """Return the exact plan if there is one, else the blended plan and the reason.

    Args:
        height: height of the padded picture, from `padded_size`.
        width: width of the padded picture, from `padded_size`.
        tile: largest side of the network's input; None for whole pictures, if the model accepts them.
        overlap: context of each tile on each side, in pixels; unset: as much as exact results need.
        multiple: `Model.size_multiple`.
        context: `Model.context`.
        smallest: `Model.smallest_side`.
        fixed_size: `Model.fixed_size`.
        blend_reason: `Model.blend_reason`.

    Raises:
        ConfigError: the tile is smaller than the network's smallest input, or the overlap is half of the tile or more.
    """
    # 1. Choose the side of a tile along each axis; a picture that fits into one tile is processed whole.
    lengths = height, width
    sizes = [_tile_size(tile, max(multiple, smallest), multiple, *one) for one in zip(fixed_size, lengths, strict=True)]
    divided = [size for size, length in zip(sizes, lengths, strict=True) if length > size]
    least = min(divided or sizes)
    if overlap is not None and not 0 <= 2 * overlap < least:
        raise ConfigError(f"overlap {overlap} must be at least 0 and less than half of the tile ({least})")
    if not divided:
        return whole(height, width), None
    # 2. Exact tiles: the context of each is aligned with the network's grid and contains every input that its output
    # depends on.
    margin = _round_up(context if overlap is None else overlap, multiple) if context is not None else 0
    if context is not None and margin >= context and 2 * margin < least:
        exact = [
            exact_tiles(length, size, margin) if fixed is None else full_tiles(length, size, margin)
            for length, size, fixed in zip(lengths, sizes, fixed_size, strict=True)
        ]
        return TilePlan(exact[0], exact[1], 0), None
    # 3. Otherwise tiles differ at their seams: adjacent tiles overlap, and the fade distributes the difference.
    blended = least // 8 if overlap is None else overlap
    plans = [blended_tiles(length, size, blended, multiple) for length, size in zip(lengths, sizes, strict=True)]
    is_fixed = fixed_size != (None, None)
    return TilePlan(plans[0], plans[1], 2 * blended), _reason(context, multiple, blend_reason, is_fixed=is_fixed)


def _tile_size(tile: int | None, smallest: int, multiple: int, fixed: int | None, length: int) -> int:
    """Return the side of a tile: the fixed size of the network, or the largest valid multiple up to `tile`."""
    if tile is None:
        return fixed or length
    least = fixed or smallest
    if tile < least:
        raise ConfigError(f"tile {tile} is smaller than the smallest input of the network; use at least {least}")
    return fixed or tile // multiple * multiple


def whole(height: int, width: int) -> TilePlan:
    """Return a plan of one tile."""
    return TilePlan((Span(0, height, 0, height),), (Span(0, width, 0, width),), 0)


def exact_tiles(length: int, tile: int, margin: int) -> tuple[Span, ...]:
    """Return adjacent spans, each computed from `margin` more pixels on both sides."""
    part = tile - 2 * margin
    starts = range(0, length, part)
    return tuple(Span(max(s - margin, 0), min(s + part + margin, length), s, min(s + part, length)) for s in starts)


def full_tiles(length: int, tile: int, margin: int) -> tuple[Span, ...]:
    """Return exact spans of equal size: the last ones start earlier than those of `exact_tiles`, with more context."""
    spans, start = list[Span](), 0
    while start < length:
        begin = min(max(start - margin, 0), length - tile)
        end = begin + tile
        spans.append(Span(begin, end, start, end if end == length else end - margin))
        start = spans[-1].keep_stop
    return tuple(spans)


def blended_tiles(length: int, tile: int, margin: int, multiple: int) -> tuple[Span, ...]:
    """Return equal spans that overlap by at least 2 `margin` pixels, on the network's grid if possible."""
    if length <= tile:
        return (Span(0, length, 0, length),)
    step = tile - 2 * margin
    step = step // multiple * multiple or step
    starts = [*range(0, length - tile, step), length - tile]
    return tuple(Span(start, start + tile, start, start + tile) for start in starts)


def run_tiles(plan: TilePlan, make: Make, write: Write, *, channels: int, progress: Progress = SILENT) -> None:
    """Compute the tiles in order, and write each part of the result as soon as it is final.

    Besides the current tile, only the parts that adjacent tiles share are kept: a strip as wide as the picture, shared
    with the next row of tiles, and a seam as high as a tile, shared with the next tile of the row. Both are allocated
    before the first tile, since a long-lived array between the features of two tiles would fragment the memory.

    Args:
        plan: plan of the tiles.
        make: the network.
        write: receives finished parts.
        channels: number of output channels of the network.
        progress: receives the number of finished tiles, if there are several, and can cancel between two of them.

    Raises:
        Cancelled: see `Progress.check`.
    """
    strip = np.empty((channels, max(_shared(plan.rows)), plan.columns[-1].keep_stop), np.float32)
    seam = np.empty(
        (channels, max(span.keep_stop - span.keep_start for span in plan.rows), max(_shared(plan.columns))), np.float32
    )
    above, done, total = 0, 0, len(plan.rows) * len(plan.columns)
    for row, row_weights, next_top in _with_next(plan.rows, plan.fade):
        before, rows = 0, row.keep_stop - row.keep_start
        for column, column_weights, next_left in _with_next(plan.columns, plan.fade):
            # 1. Compute the tile, crop its context, and weight it: the weights of all tiles at a pixel sum to 1.
            part = _weighted(make(row, column)[:, row.kept, column.kept], row_weights, column_weights)
            # 2. Add the part shared with the left neighbor; keep the part shared with the right neighbor.
            part, right = _settle(part, seam[:, :rows, :before], next_left - column.keep_start, axis=2)
            before = column.keep_stop - next_left
            seam[:, :rows, :before] = right
            # 3. Do the same with the rows of tiles above and below; the remaining part is final.
            place = slice(column.keep_start, next_left)
            part, below = _settle(part, strip[:, :above, place], next_top - row.keep_start, axis=1)
            write(row.keep_start, column.keep_start, part)
            strip[:, : row.keep_stop - next_top, place] = below
            done += 1
            if total > 1:
                progress("tiles", done, total)
                progress.check()
        above = row.keep_stop - next_top


def _shared(spans: Sequence[Span]) -> list[int]:
    """Return the number of pixels that each span shares with the next; 0 for the last."""
    return [one.keep_stop - other.keep_start for one, other in pairwise(spans)] + [0]


def _with_next(spans: Sequence[Span], fade: int) -> Iterator[tuple[Span, Floats, int]]:
    """Yield each span, its weights, and the start of the part that it shares with the next one."""
    for span, weights, following in zip_longest(spans, _weights(spans, fade), spans[1:]):
        yield span, weights, span.keep_stop if following is None else following.keep_start


def _weighted(part: Floats, rows: Floats, columns: Floats) -> Floats:
    """Weight the part; a part without shared pixels is unchanged."""
    part = part if (columns == 1).all() else part * columns
    return part if (rows == 1).all() else part * rows[:, None]


def _settle(part: Floats, shared: Floats, finished: int, *, axis: int) -> tuple[Floats, Floats]:
    """Add the part shared with the previous tile in place; split off the part shared with the next tile."""
    part, before = np.moveaxis(part, axis, 2), np.moveaxis(shared, axis, 2)
    if before.size:  # a weighted part is a new array and may be changed
        part[:, :, : before.shape[2]] += before
    return np.moveaxis(part[:, :, :finished], 2, axis), np.moveaxis(part[:, :, finished:], 2, axis)


def _weights(spans: Sequence[Span], fade: int) -> list[Floats]:
    """Return the weights of each span along one axis, which fade to 0 over `fade` pixels and sum to 1."""
    length = spans[-1].keep_stop
    weights = [_fade(span, length, fade) for span in spans]
    total = np.zeros(length, np.float32)
    for span, own in zip(spans, weights, strict=True):
        total[span.keep_start : span.keep_stop] += own
    assert total.min() > 0
    return [own / total[span.keep_start : span.keep_stop] for span, own in zip(spans, weights, strict=True)]


def _fade(span: Span, length: int, fade: int) -> Floats:
    size = span.keep_stop - span.keep_start
    weights = np.ones(size, dtype=np.float32)
    if fade:
        ramp = np.minimum((np.arange(size, dtype=np.float32) + 0.5) / fade, 1)
        weights *= ramp if span.keep_start > 0 else 1
        weights *= ramp[::-1] if span.keep_stop < length else 1
    return weights


def _round_up(value: int | None, multiple: int) -> int:
    return -(-(value or 0) // multiple) * multiple


def _reason(context: int | None, multiple: int, blend_reason: str, *, is_fixed: bool) -> str:
    blend = "so the result differs from that without tiles; seams are blended"
    if context is None:
        return f"{blend_reason}, {blend}"
    least = 2 * _round_up(context, multiple) + multiple
    if is_fixed:
        return (
            f"an output pixel depends on {context} pixels around it, more than the model's fixed size contains, {blend}"
        )
    return f"an output pixel depends on {context} pixels around it, {blend}; tiles of {least} or more would be exact"


OUT_OF_MEMORY = ("out of memory", "allocate memory")
"""Parts of the out-of-memory messages of CUDA, MPS and CPU; torch has no exception class for the latter two."""


@contextmanager
def enough_memory(picture: Picture, device: torch.device) -> Iterator[None]:
    """Convert out-of-memory errors to an ImageError that names the remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        needed = f"{picture.width} x {picture.height} pixels need more memory than is free on {device}"
        raise ImageError(picture.source, f"{needed}; translate it in (smaller) tiles, such as --tile 512") from error
