"""Covers of regions, masks that mark a part of a picture, and resampling, for all data types."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ConfigError, ImageError, InputError
from ganvas.filesystem.paths import name_key
from ganvas.image.files import list_images, read_image, stores_white_as_zero
from ganvas.image.picture import NATURAL_RANGE, Box, Picture, Pixels
from ganvas.image.ranges import convert_samples, round_to_dtype, to_unit

__all__ = [
    "Cover",
    "Mask",
    "MaskFolder",
    "Region",
    "Style",
    "bicubic_resize",
    "block_means",
    "composite",
    "cover",
    "cover_picture",
    "gaussian_blur",
    "mosaic",
    "path_stem",
    "read_levels",
    "read_mask",
]

Style = Literal["solid", "mosaic", "blur"]
Mask = NDArray[np.bool_]
Region = Box | Mask
DEFAULT_BLOCKS = 8
MIN_BLOCK_SIZE = 2
DEFAULT_SIGMA_SHARE = 1 / 8
MIN_SIGMA = 2.0
KERNEL_REACH = 4.0
"""Radius at which the Gaussian kernel is truncated, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Style and strength of a cover. Only `solid` removes all information about the region."""

    style: Style = "solid"
    """solid: one color; mosaic: the mean of each block; blur: Gaussian."""
    color: tuple[float, ...] = (0.0,)
    """solid: levels in [0, 1], one for all channels or one for each (three numbers also work for gray)."""
    blocks: int | None = None
    """mosaic: number of blocks across the region's longer side (blocks of 2 pixels at least); 8 by default."""
    block_size: int | None = None
    """mosaic: side of a block in pixels, instead of `blocks`."""
    sigma: float | None = None
    """blur: standard deviation in pixels; an eighth of the region's longer side by default."""

    def __post_init__(self) -> None:
        if self.style not in ("solid", "mosaic", "blur"):
            raise ConfigError(f"unknown style {self.style!r}: solid, mosaic or blur")
        if not self.color or not all(0 <= level <= 1 for level in self.color):
            raise ConfigError(f"color {self.color}: expected levels in [0, 1], one for all channels or one for each")
        if self.blocks is not None and self.block_size is not None:
            raise ConfigError("pass blocks or block_size, not both")
        if self.blocks is not None and self.blocks < 1:
            raise ConfigError(f"blocks = {self.blocks}: must be at least 1")
        if self.block_size is not None and self.block_size < MIN_BLOCK_SIZE:
            raise ConfigError(f"block_size = {self.block_size}: must be at least 2, a block of one pixel hides nothing")
        if self.sigma is not None and not self.sigma > 0:
            raise ConfigError(f"sigma = {self.sigma}: must be above 0")

    def block_side(self, longer: int) -> int:
        """Return the side of a mosaic's block in pixels, for a region whose longer side has `longer` pixels."""
        if self.block_size is not None:
            return self.block_size
        return max(math.ceil(longer / (self.blocks or DEFAULT_BLOCKS)), MIN_BLOCK_SIZE)

    def blur_sigma(self, longer: int) -> float:
        """Return the standard deviation of a blur in pixels, for a region whose longer side has `longer` pixels."""
        return self.sigma or max(longer * DEFAULT_SIGMA_SHARE, MIN_SIGMA)


def cover(pixels: Pixels, region: Region, how: Cover, *, origin: tuple[int, int] | None = None) -> Pixels:
    """Return a copy of a picture with a region covered; outside the region nothing changes.

    Args:
        pixels: (H, W, C) uint8, uint16 or float32.
        region: a box, which may be partly outside the picture, or a (H, W) bool mask.
        how: style and strength, relative to the whole region, including a part outside the picture. Blocks start at the
            corner of the region's visible bounding box, and the mean of a block includes only pixels inside the region.
        origin: (x, y), an alternative corner of the mosaic's blocks, such as a point that moves with an object in a
            film; may be outside the picture.

    Raises:
        ImageError: the region is outside the picture, or a mask has another size.
    """
    box, inside = _locate(region, pixels.shape[0], pixels.shape[1])
    longer = _longer_side(region if isinstance(region, Box) else box)
    covered = pixels.copy()
    window = covered[box.top : box.bottom, box.left : box.right]
    if how.style == "solid":
        fill: Pixels = _fill_color(how.color, pixels)
    elif how.style == "mosaic":
        size = how.block_side(longer)
        left, top = origin or (box.left, box.top)
        rows = _starts(inside.shape[0], size, (top - box.top) % size)
        columns = _starts(inside.shape[1], size, (left - box.left) % size)
        fill = _spread(_means(window, inside, rows, columns), rows, columns, inside.shape)
    else:
        fill = _blurred_window(pixels, box, how.blur_sigma(longer))
    np.copyto(window, fill, where=inside[:, :, None])
    return covered


def cover_picture(picture: Picture, region: Region, how: Cover, *, origin: tuple[int, int] | None = None) -> Picture:
    """Cover the region of a picture, see `cover`, and make it fully opaque inside the region."""
    covered = cover(picture.color, region, how, origin=origin)
    if picture.alpha is not None:
        opaque = cover(picture.alpha, region, Cover(style="solid", color=(1.0,)))
        covered = np.concatenate([covered, opaque], axis=2)
    return replace(picture, pixels=covered)


def block_means(pixels: Pixels, block_size: int) -> Pixels:
    """Return the rounded mean of each block, (ceil(H / size), ceil(W / size), C), smaller at the edges."""
    rows, columns = (_starts(side, block_size) for side in pixels.shape[:2])
    return _means(pixels, np.ones(pixels.shape[:2], dtype=bool), rows, columns)


def mosaic(pixels: Pixels, block_size: int) -> Pixels:
    """Replace each block of (H, W, C) by its rounded mean. The operation is idempotent."""
    rows, columns = (_starts(side, block_size) for side in pixels.shape[:2])
    return _spread(block_means(pixels, block_size), rows, columns, pixels.shape[:2])


def gaussian_blur(pixels: Pixels, sigma: float) -> Pixels:
    """Blur (H, W, C) with a Gaussian: sigma in pixels, edges replicated, rounded to the picture's type."""
    from scipy import ndimage  # slow to import, and only a blur needs it

    blurred = np.empty(pixels.shape, np.float32)
    ndimage.gaussian_filter(
        pixels.astype(np.float32), sigma, output=blurred, mode="nearest", truncate=KERNEL_REACH, axes=(0, 1)
    )
    return round_to_dtype(blurred, pixels.dtype.name)


def bicubic_resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize to (height, width, C): bicubic (a = -0.5), antialiased, in float32, rounded to the picture's type."""
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    planes = [
        Image.fromarray(np.ascontiguousarray(pixels[:, :, channel], dtype=np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for channel in range(pixels.shape[2])
    ]
    return round_to_dtype(np.stack([np.asarray(plane) for plane in planes], axis=2), pixels.dtype.name)


def _locate(region: Region, height: int, width: int) -> tuple[Box, Mask]:
    """Return the region's bounding box clipped to the picture, and the (box height, box width) bool mask inside it."""
    if isinstance(region, Box):
        box = region.clip(height, width)
        if box is None:
            raise ImageError(
                None, f"{region} is outside a picture of {width} x {height}; expected (left, top, right, bottom)"
            )
        return box, np.ones((box.bottom - box.top, box.right - box.left), dtype=bool)
    if region.shape != (height, width):
        raise ImageError(None, f"a mask of shape {region.shape} for a picture of {height} rows and {width} columns")
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if len(rows) == 0:
        raise ImageError(None, "the mask marks no pixel")
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return box, region[box.top : box.bottom, box.left : box.right].astype(bool)


def _fill_color(color: tuple[float, ...], pixels: Pixels) -> Pixels:
    """Return a color in [0, 1] as levels of the picture's type, (C,)."""
    channels = pixels.shape[2]
    if len(color) == 3 and channels == 1:
        color = (float(np.dot(color, (0.299, 0.587, 0.114))),)  # Rec. 601 luma
    if len(color) not in (1, channels):
        raise ImageError(
            None, f"a color of {len(color)} numbers for {channels} channels; expected one, or one for each"
        )
    high = NATURAL_RANGE[pixels.dtype.name][1]
    return round_to_dtype(np.resize(np.asarray(color, np.float64) * high, channels), pixels.dtype.name)


def _longer_side(box: Box) -> int:
    return max(box.bottom - box.top, box.right - box.left)


def _starts(side: int, size: int, first: int = 0) -> NDArray[np.int64]:
    """Return the starts of blocks along a side: 0, `first`, and then every `size` pixels."""
    return np.unique(np.append(0, np.arange(first, side, size)))


def _means(pixels: Pixels, inside: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Pixels:
    """Return the rounded mean of each block over the pixels inside; 0 for blocks without any, which are not visible."""
    counts = _block_sums(inside[:, :, None].astype(np.float64), rows, columns)
    sums = _block_sums(pixels * inside[:, :, None].astype(np.float64), rows, columns)  # exact: far below 2 ** 53
    return round_to_dtype(sums / np.maximum(counts, 1), pixels.dtype.name)


def _block_sums(
    values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


def _spread(means: Pixels, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[Any, ...]) -> Pixels:
    """Repeat each mean over its block, (H, W, C)."""
    down, across = np.diff(rows, append=shape[0]), np.diff(columns, append=shape[1])
    return means.repeat(down, axis=0).repeat(across, axis=1)


def _blurred_window(pixels: Pixels, box: Box, sigma: float) -> Pixels:
    """Return the blurred picture inside a box, computed only from pixels within the radius of the kernel."""
    reach = int(KERNEL_REACH * sigma + 0.5)
    top, left = max(box.top - reach, 0), max(box.left - reach, 0)
    around = gaussian_blur(pixels[top : box.bottom + reach, left : box.right + reach], sigma)
    return around[box.top - top : box.bottom - top, box.left - left : box.right - left]


class MaskFolder:
    """Masks in a folder, which is listed once: a picture's mask has the same relative path without suffix.

    Args:
        folder: the folder, with the same subfolders as that of the pictures.

    Raises:
        ImageError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exact, self._alike = defaultdict[str, list[Path]](list), defaultdict[str, list[Path]](list)
        for path in list_images(folder, recursive=True):
            stem = path_stem(path.relative_to(folder))
            self._exact[stem].append(path)
            self._alike[name_key(stem)].append(path)

    @property
    def stems(self) -> Set[str]:
        """Paths of all masks in the folder, without suffix."""
        return self._exact.keys()

    def find(self, name: str) -> Path | None:
        """Return the mask of a picture by its name with folders, or None; Unicode normalization does not matter.

        Raises:
            InputError: several masks match.
        """
        stem = path_stem(name)
        files = self._exact.get(stem) or self._alike.get(name_key(stem), [])
        if len(files) > 1:
            raise InputError(f"{files[0]} and {files[1]} are both masks of {stem}; merge them into one")
        return files[0] if files else None


def path_stem(path: Path | str) -> str:
    """Return a relative path without suffix, with forward slashes."""
    return Path(path).with_suffix("").as_posix()


def read_mask(path: Path, like: Picture) -> NDArray[np.bool_]:
    """Return (H, W) bool: True where the mask is at least half white in any channel.

    Raises:
        ImageError: it cannot be read, is partly transparent or neither black nor anywhere half white, or has another
            size than the picture.
    """
    levels = read_levels(path)
    if levels.shape[:2] != (like.height, like.width):
        size, wanted = f"{levels.shape[1]} x {levels.shape[0]}", f"{like.width} x {like.height}"
        raise ImageError(path, f"the mask has {size} pixels, the picture {like.source} has {wanted}; make them equal")
    inside = np.asarray(to_unit(levels).max(axis=2) >= 0.5)
    if levels.any() and not inside.any():
        brightest = f"its highest level is {levels.max():g} of {NATURAL_RANGE[levels.dtype.name][1]:g}"
        remedy = "make the marked pixels white, or the whole mask black to leave the picture unchanged"
        raise ImageError(path, f"the mask is not black but nowhere half white: {brightest}; {remedy}")
    return inside


def read_levels(path: Path) -> Pixels:
    """Return the levels of a mask, (H, W, C). Only levels mark pixels, so a mask must be fully opaque.

    Raises:
        ImageError: it cannot be read, is partly transparent, or declares 0 to be white, as `tifffile.imwrite` does for
            a boolean array: programs that honor it see the complement of what was saved.
    """
    mask = read_image(path)
    if stores_white_as_zero(path):
        remedy = "save it with 8 bits and black as zero, as tifffile.imwrite(path, mask.astype('uint8') * 255) does"
        raise ImageError(
            path,
            f"the mask declares that 0 is white, so whether it marks a region or its complement is ambiguous; {remedy}",
        )
    if mask.alpha is not None and to_unit(mask.alpha).min() < 1:
        remedy = "save it without opacity, white inside the region and black elsewhere"
        raise ImageError(path, f"the mask is partly transparent, so the marked region is ambiguous; {remedy}")
    return mask.color


def composite(original: Picture, translated: Picture, inside: NDArray[np.bool_]) -> Picture:
    """Replace the masked part of the original by the translation; all other pixel values stay unchanged.

    Args:
        original: the original, whose opacity is kept; gray is repeated if the translation has three channels.
        translated: the translation, of the same size; converted to the original's data type.
        inside: (H, W) bool.

    Raises:
        ImageError: the numbers of channels differ.
    """
    base, replacement = original.color, translated.color
    if base.shape[2] == 1 and replacement.shape[2] == 3:
        base = np.repeat(base, 3, axis=2)
    if base.shape != replacement.shape:
        counts = f"the picture has {base.shape[2]} channels, the output of the model {replacement.shape[2]}"
        raise ImageError(original.source, f"{counts}, so no part can be replaced; translate without a mask")
    dtype = original.spec.dtype
    pixels = np.where(inside[:, :, None], convert_samples(replacement, dtype), base)
    if original.alpha is not None:
        pixels = np.concatenate([pixels, original.alpha], axis=2)
    return replace(original, pixels=pixels)
