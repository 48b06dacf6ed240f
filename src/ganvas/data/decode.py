"""Decoding of training pictures: reads both sides, applies the content gate, and resizes to the size of the cache."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ganvas.content_gate import AdmittedPicture, gate
from ganvas.data.config import DataConfig
from ganvas.data.layouts import Entry, Split
from ganvas.errors import DataError, PolicyRefusal
from ganvas.image.cover import bicubic_resize
from ganvas.image.files import read_image
from ganvas.image.picture import NATURAL_RANGE, Picture, Pixels
from ganvas.image.ranges import round_to_dtype, unused_range

__all__ = [
    "Decoded",
    "OpacityWarning",
    "admitted",
    "at_cache_size",
    "decode",
    "evaluation_size",
    "read_sides",
    "remarks_on",
    "warn_of_opacity",
]


MOST_ENLARGED = 4
"""Largest factor by which a side is enlarged without a remark."""
ENLARGED_NOTE = f"enlarged more than {MOST_ENLARGED} times"
ENLARGED_REMEDY = "; for small pictures set a smaller --load-size and --crop-size"


class OpacityWarning(UserWarning):
    """Warning that opacity was dropped; the opacity channel of a file may be data."""


def read_sides(entry: Entry) -> tuple[Picture, ...]:
    """Return one picture for each side of an entry, or the window of a frame.

    Raises:
        ImageError: a file cannot be read.
        DataError: the sides differ in size, or a side-by-side picture has an odd width.
    """
    if entry.window:  # a frame of a film
        return entry.window
    pictures = tuple(map(read_image, entry.files))
    if len(pictures) < len(entry.sides):
        return _halves(*pictures)
    sizes = [f"{picture.width}x{picture.height}" for picture in pictures]
    if len(set(sizes)) > 1:
        raise DataError(f"the sides differ in size, {' and '.join(sizes)}; make them equal")
    return pictures


def admitted(entry: Entry) -> list[AdmittedPicture]:
    """Read the pictures of an entry like `read_sides`, and return them after the content gate has admitted all of them.

    Raises:
        PolicyRefusal: one is refused.
        ImageError, DataError: a file cannot be read or used.
    """
    pictures = list[AdmittedPicture]()
    for outcome in gate.admit_many([(entry.label, picture) for picture in read_sides(entry)]):
        if isinstance(outcome, PolicyRefusal):
            raise outcome
        pictures.append(outcome)
    return pictures


@dataclass(frozen=True, slots=True)
class Decoded:
    """One entry, decoded and resized to the cache size.

    Attributes:
        planes: (C, H, W) of each side, without opacity; the frames of a window are stacked along the channels.
        num_with_opacity: number of its files with opacity.
        notes: notes on reading its files.
        highest: largest stored value of each side, 0 for types other than 16 bits.
    """

    planes: list[Pixels]
    num_with_opacity: int
    notes: tuple[str, ...]
    highest: list[int]


def decode(entry: Entry, config: DataConfig, split: Split, *, num_frames: int = 1) -> Decoded:
    """Read, gate and resize the pictures of an entry.

    Args:
        entry: the entry.
        config: settings of the data set.
        split: the split.
        num_frames: number of frames in a window; the window of a still picture repeats the picture.

    Raises:
        PolicyRefusal: one is refused.
        ImageError, DataError: a file cannot be read or used.
    """
    pictures = [one.picture for one in admitted(entry)]
    planes = [
        np.ascontiguousarray(at_cache_size(picture.color, config, split).transpose(2, 0, 1)) for picture in pictures
    ]
    notes = list({picture.source: picture.notes for picture in pictures}.values())
    if any(is_enlarged(plane, picture) for plane, picture in zip(planes, pictures, strict=True)):
        notes.append((ENLARGED_NOTE + ENLARGED_REMEDY if split == "train" else ENLARGED_NOTE,))
    highest = [int(picture.color.max()) if picture.spec.dtype == "uint16" else 0 for picture in pictures]
    if num_frames > 1:
        planes, highest = [np.concatenate(planes * (num_frames // len(planes)))], [max(highest)]
    return Decoded(
        planes,
        len({picture.source for picture in pictures if picture.has_alpha}),
        notes=tuple(note for of_file in notes for note in of_file),
        highest=highest,
    )


def is_enlarged(plane: Pixels, picture: Picture) -> bool:
    """Return whether a side of a picture was enlarged by more than `MOST_ENLARGED`; `plane` is (C, H, W)."""
    sides: list[tuple[int, int]] = [(plane.shape[-2], picture.height), (plane.shape[-1], picture.width)]
    return any(enlarged > MOST_ENLARGED * side for enlarged, side in sides)


def warn_of_opacity(count: int, where: str) -> None:
    """Warn once of the number of pictures with opacity; `tifffile.imwrite` marks a fourth channel so by default."""
    if count:
        warnings.warn(
            f"opacity was dropped from {count} picture{'s' * (count > 1)} of {where}; if that channel is data, write "
            "TIFF files that do not mark it as opacity (tifffile: photometric='minisblack', planarconfig='contig')",
            OpacityWarning,
            stacklevel=3,
        )


def remarks_on(notes: Mapping[str, int], highest: Mapping[str, int]) -> list[str]:
    """Return remarks on the pictures of a data set, each a sentence.

    Args:
        notes: note on reading -> number of pictures with this note.
        highest: name of a side or set -> its largest 16-bit sample, 0 for other types.
    """
    remarks = [f"{note} ({count} picture{'s' * (count > 1)})" for note, count in notes.items()]
    fitting = unused_range(max(highest.values(), default=0))
    remedy = f"train with --value-range 0 {fitting}" if fitting else "scale the values to the whole range"
    for name, value in highest.items():
        if unused_range(value):
            used = f"{100 * value / NATURAL_RANGE['uint16'][1]:.2g} % of the range"
            remarks.append(f"{name}: 16-bit values up to {value:,} of 65,535 use {used}; {remedy}")
    return remarks


def _halves(picture: Picture) -> tuple[Picture, Picture]:
    half, odd = divmod(picture.width, 2)
    if odd or not half:
        raise DataError(f"{picture.width} columns cannot be split into equal halves; crop it to an even width")
    left, right = picture.pixels[:, :half], picture.pixels[:, half:]
    return replace(picture, pixels=left), replace(picture, pixels=right)


def at_cache_size(pixels: Pixels, config: DataConfig, split: Split) -> Pixels:
    """Resize (H, W, C) to the cache size of a split: antialiased bicubic, same type, values clipped to the range.

    Raises:
        DataError: a value is not finite, or lies outside the value range.
    """
    low, high = _checked_range(pixels, config)
    height, width = cached_size(pixels.shape[0], pixels.shape[1], config, split)
    if (height, width) == pixels.shape[:2]:
        return pixels
    resized = bicubic_resize(pixels, height, width)
    return resized if config.value_range is None and pixels.dtype != np.float32 else _within(resized, low, high)


def cached_size(height: int, width: int, config: DataConfig, split: Split) -> tuple[int, int]:
    """Return height and width in the cache for a picture of the given size."""
    load_height, load_width = evaluation_size(config) if split != "train" else config.load_size
    match config.resize:
        case "none":
            return height, width
        case "stretch":
            return load_height, load_width
    scale = min(load_height, load_width) / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def evaluation_size(config: DataConfig) -> tuple[int, int]:
    """Return height and width of validation and test pictures (see `evaluation_size` of the config)."""
    if config.evaluation_size is not None:
        return config.evaluation_size
    return config.crop_size if config.resize == "stretch" else config.load_size


def _within(pixels: Pixels, low: float, high: float) -> Pixels:
    """Clip samples to the range, keeping their type; integers stay integers for any range."""
    if pixels.dtype.kind == "u":
        low, high = math.ceil(low), math.floor(high)
    return round_to_dtype(np.clip(pixels, low, high), pixels.dtype.name)


def _checked_range(pixels: Pixels, config: DataConfig) -> tuple[float, float]:
    """Return the range that the values must lie in: value_range, or [0, 1] for floats, or the range of the type."""
    if config.value_range is None and pixels.dtype != np.float32:
        return 0, float(np.iinfo(pixels.dtype).max)
    low, high = config.value_range or (0.0, 1.0)
    smallest, largest = float(pixels.min()), float(pixels.max())
    if not low <= smallest <= largest <= high:  # also NaN
        raise DataError(
            f"values from {smallest:g} to {largest:g} leave [{low:g}, {high:g}]; set value_range to include them"
        )
    return low, high
