"""Display of pictures beside their target: difference images, single channels, and mapping of levels to 8 bits.

These functions do not run the content gate; pass pictures that it has admitted. The gate scores each channel, and deep
pictures between the same percentiles, so that it has scored everything that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.data.splits import evenly
from ganvas.image.picture import Picture, Pixels
from ganvas.image.ranges import NATURAL_RANGE, tail_percentiles
from ganvas.reports.html import paragraph
from ganvas.reports.pictures import BLANK, LARGEST, Tile, encode, picture_grid
from ganvas.reports.ranking import Ranking
from ganvas.reports.tables import format_value

__all__ = ["DIFFERENCE_SCALE", "MAX_CHANNELS_SHOWN", "Display", "difference_image", "display", "gallery", "num_rows"]

DIFFERENCE_SCALE = 4
"""Factor of difference images, the same in all reports, so that they can be compared."""
TAIL = 0.5
"""Percentage of the pixels of deep pictures that is clipped at either end of the displayed range."""
MAX_CHANNELS_SHOWN = 8
"""Largest number of channels to show; of more, those that differ most from the target are shown."""
DIFFERENCE = (
    f"Below a picture: its absolute difference from the target, times {DIFFERENCE_SCALE}, at each pixel the largest of "
    f"all channels shown. Black is equal; white is 1/{DIFFERENCE_SCALE} of the range shown, or more."
)
DEEP = (
    f"16-bit and float pictures are shown between the levels stated below them: from percentile {TAIL} to "
    f"{100 - TAIL} of the target, or of the picture itself if it is of another kind."
)
CHANNELS = "Pictures with 2 or with more than 3 channels are shown channel by channel."
MANY_CHANNELS = f"Of more than {MAX_CHANNELS_SHOWN} channels, only those that differ most from the target are shown."
LARGE = f"Shown with at most {LARGEST} pixels a side; the figures are of the whole pictures."
SELECT = "Select a picture to enlarge it."
Limits = tuple[float, float]
"""Levels displayed as black and as white."""


@dataclass(frozen=True)
class Display:
    """Pictures of one comparison, ready for a page.

    Attributes:
        rows: (label, tiles): one row without a label, or one for each channel shown.
        notes: sentences that explain the display.
    """

    rows: tuple[tuple[str, tuple[Tile, ...]], ...]
    notes: tuple[str, ...]


def display(
    pictures: Sequence[Picture | None], target: Picture | None, captions: Sequence[str] = (), *, lossy: bool = True
) -> Display:
    """Return pictures and their target side by side, with a difference image below each picture.

    Pictures of the target's kind and size get a difference image and are shown with the target's range.

    Args:
        pictures: input and outputs; None for one that is not shown.
        target: target for the last column; None without a target.
        captions: plain text below each picture; may be shorter.
        lossy: JPEG instead of PNG.
    """
    columns = [*pictures, *([] if target is None else [target])]
    texts = [*captions, *[""] * (len(columns) - len(captions))]
    there = [one for one in columns if one is not None]
    count = max((_num_planes(one) for one in there), default=1)
    rows = []
    for row, channel in enumerate(_channels_shown(columns, target, count)):
        label = "" if count == 1 else f"channel {channel + 1} of {count}"
        tiles = [
            _tile(one, target, channel, text if row == 0 else "", first=row == 0, lossy=lossy)
            for one, text in zip(columns, texts, strict=True)
        ]
        rows.append((label, tuple(tiles)))
    compared = any(tile.difference for _, tiles in rows for tile in tiles)
    applies = {
        DIFFERENCE: compared,
        CHANNELS: count > 1,
        MANY_CHANNELS: count > MAX_CHANNELS_SHOWN,
        DEEP: any(one.pixels.dtype != np.uint8 for one in there),
        LARGE: any(max(one.height, one.width) > LARGEST for one in there),
    }
    return Display(tuple(rows), tuple(sentence for sentence, holds in applies.items() if holds))


def num_rows(*channels: int) -> int:
    """Return the number of rows for pictures with a number of channels."""
    return max(min(1 if count in (1, 3) else count, MAX_CHANNELS_SHOWN) for count in channels)


def gallery(shown: Mapping[str, Display], columns: Sequence[str], ranking: Ranking | None = None) -> str:
    """Return several displays, one below the other, with the applicable notes.

    Args:
        shown: name -> display.
        columns: titles of the columns.
        ranking: order, with links to the worst, median and best; None: the order of `shown`.
    """
    notes = dict.fromkeys(note for one in shown.values() for note in one.notes)
    head = paragraph(" ".join([SELECT, *notes]))
    if ranking is None:
        return head + _grid(shown, columns, {})
    grids = [
        title + _grid({name: shown[name] for name in names if name in shown}, columns, anchors)
        for title, names, anchors in ranking.parts()
    ]
    return ranking.links() + head + "".join(grids)


def _grid(shown: Mapping[str, Display], columns: Sequence[str], anchors: Mapping[str, str]) -> str:
    rows, titles, ids = list[Sequence[Tile]](), list[str](), dict[int, str]()
    for name, one in shown.items():
        if name in anchors:
            ids[len(rows)] = anchors[name]
        for label, tiles in one.rows:
            titles.append(f"{name}: {label}" if label else name)
            rows.append(tiles)
    return picture_grid(rows, columns, titles, anchors=ids)


def difference_image(picture: Picture, target: Picture, channel: int | None = None) -> NDArray[np.uint8]:
    """Return the absolute difference times `DIFFERENCE_SCALE`, the maximum over the channels at each pixel.

    Args:
        picture: picture of the target's kind and size.
        target: the target.
        channel: compare only this channel.

    Returns:
        (H, W) uint8; 255 for a difference of 1 / `DIFFERENCE_SCALE` of the range shown, or more.
    """
    low, high = limits_of(target, channel)
    values, truth = (_planes(one, channel).astype(np.float64) for one in (picture, target))
    largest: NDArray[np.float64] = np.abs(values - truth).max(axis=2)
    return np.rint(np.minimum(largest * (DIFFERENCE_SCALE * 255 / (high - low)), 255)).astype(np.uint8)


def limits_of(picture: Picture, channel: int | None = None) -> Limits:
    """Return the levels displayed as black and as white: 0 and 255 for 8 bits, else the range without its tails."""
    if picture.pixels.dtype == np.uint8:
        return NATURAL_RANGE["uint8"]
    low, high = tail_percentiles(_planes(picture, channel), TAIL)
    return (low, high) if low < high else (low, low + NATURAL_RANGE[picture.pixels.dtype.name][1])


def _num_planes(picture: Picture) -> int:
    channels = picture.spec.channels
    return 1 if channels in (1, 3) else channels


def _planes(picture: Picture, channel: int | None) -> Pixels:
    return picture.color if channel is None else picture.color[:, :, channel : channel + 1]


def _channels_shown(columns: Sequence[Picture | None], target: Picture | None, count: int) -> list[int]:
    """Return the channels to show, in order; of too many, those with the largest mean difference from the target."""
    if count <= MAX_CHANNELS_SHOWN:
        return list(range(count))
    if target is None or _num_planes(target) != count:
        return evenly(count, MAX_CHANNELS_SHOWN)
    outputs = [one for one in columns if one is not None and one is not target and _comparable(one, target)]
    errors = np.zeros(count)
    for one in outputs:
        errors = np.maximum(errors, np.abs(one.color.astype(np.float64) - target.color).mean(axis=(0, 1)))
    return sorted(np.argsort(-errors, kind="stable")[:MAX_CHANNELS_SHOWN].tolist())


def _comparable(picture: Picture, target: Picture) -> bool:
    """Return whether a picture has the type and size of the target, and its channels or one that can be repeated."""
    same_kind = picture.pixels.dtype == target.pixels.dtype and picture.spec.channels in (1, target.spec.channels)
    return same_kind and picture.pixels.shape[:2] == target.pixels.shape[:2]


def _tile(
    picture: Picture | None, target: Picture | None, channel: int, caption: str, *, first: bool, lossy: bool
) -> Tile:
    if picture is None:
        return Tile(caption=caption) if first else BLANK
    whole = _num_planes(picture) == 1
    if (whole and not first) or (not whole and channel >= picture.spec.channels):
        return BLANK
    plane = None if whole else channel
    reference = target if target is not None and _comparable(picture, target) else None
    low, high = limits_of(reference or picture, plane)
    difference = None
    if reference is not None and picture is not target:
        difference = encode(difference_image(picture, reference, plane), lossy=lossy)
    shown = encode(_on_screen(_planes(picture, plane), low, high), lossy=lossy)
    return Tile(shown, _with_limits(caption, low, high, _planes(picture, plane)), difference)


def _with_limits(caption: str, low: float, high: float, planes: Pixels) -> str:
    """Append the displayed range of levels to a caption, and whether all levels of the picture are outside it."""
    if planes.dtype == np.uint8:
        return caption
    shown = f"levels {_level(low)} to {_level(high)}"
    if planes.min() > high:
        shown += ", its own are all above"
    elif planes.max() < low:
        shown += ", its own are all below"
    return f"{caption} · {shown}" if caption else shown


def _level(value: float) -> str:
    return format_value(round(value)) if abs(value) >= 100 else f"{value:.4g}".replace("-", "\u2212")


def _on_screen(planes: Pixels, low: float, high: float) -> NDArray[np.uint8]:
    """Return (H, W, 1 or 3) uint8."""
    if planes.dtype == np.uint8:
        return np.ascontiguousarray(planes)
    unit = (planes.astype(np.float64) - low) / (high - low)
    return np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
