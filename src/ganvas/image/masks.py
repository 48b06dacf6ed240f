"""Masks: which part of a picture is meant, and replacement of that part alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ImageError
from ganvas.image.files import list_images, read_image, stores_white_as_zero
from ganvas.image.folders import name_key
from ganvas.image.picture import NATURAL_RANGE, Picture, Pixels
from ganvas.image.ranges import convert_samples, to_unit


def find_mask(masks: Path, picture: Path) -> Path:
    """Return the mask of a picture: `masks` itself, or the file of the same stem in that folder.

    Raises:
        ImageError: the folder has no such file, or several.
    """
    if not masks.is_dir():
        return masks
    found = [path for path in list_images(masks) if name_key(path.stem) == name_key(picture.stem)]
    if not found:
        remedy = "add one (all black leaves the picture as it is)"
        raise ImageError(picture, f"no mask {picture.stem}.* in {masks}; {remedy}")
    if len(found) > 1:
        several = " and ".join(path.name for path in found)
        raise ImageError(picture, f"{several} in {masks} are all masks of it; keep one")
    return found[0]


def read_mask(path: Path, like: Picture) -> NDArray[np.bool_]:
    """Return (H, W) bool: True where the mask is at least half white in any channel.

    Raises:
        ImageError: it cannot be read, is partly transparent or too dark to mark anything, or has another size than
            the picture.
    """
    levels = read_levels(path)
    if levels.shape[:2] != (like.height, like.width):
        size, wanted = f"{levels.shape[1]} x {levels.shape[0]}", f"{like.width} x {like.height}"
        raise ImageError(path, f"the mask has {size} pixels, the picture {like.source} has {wanted}; make them equal")
    inside = np.asarray(to_unit(levels).max(axis=2) >= 0.5)
    if levels.any() and not inside.any():
        brightest = f"its highest level is {levels.max():g} of {NATURAL_RANGE[levels.dtype.name][1]:g}"
        remedy = "make what it marks white, or all of it black to leave the picture as it is"
        raise ImageError(path, f"the mask is not black but nowhere half white: {brightest}; {remedy}")
    return inside


def read_levels(path: Path) -> Pixels:
    """Return (H, W, C): the levels of a mask. They alone say what it marks, so nothing in it may be transparent.

    Raises:
        ImageError: it cannot be read, is partly transparent, or declares 0 to be white, as `tifffile.imwrite` does for
            a boolean array: programs that honor it see the complement of what was saved.
    """
    mask = read_image(path)
    if stores_white_as_zero(path):
        remedy = "save it with 8 bits and black as zero, as tifffile.imwrite(path, mask.astype('uint8') * 255) does"
        raise ImageError(
            path, f"the mask declares that 0 is white, so whether it marks a region or the rest is unclear; {remedy}"
        )
    if mask.alpha is not None and to_unit(mask.alpha).min() < 1:
        remedy = "save it without opacity, white where the picture is meant and black elsewhere"
        raise ImageError(path, f"the mask is partly transparent, so what it marks is not clear; {remedy}")
    return mask.color


def composite(original: Picture, translated: Picture, inside: NDArray[np.bool_]) -> Picture:
    """Return the original with its masked part from the translation; all other pixel values are the original's.

    Args:
        original: opacity is kept from it; gray is repeated where the translation has three channels.
        translated: of the same size; converted to the original's sample type.
        inside: (H, W) bool.

    Raises:
        ImageError: the translation has other channels.
    """
    base, made = original.color, translated.color
    if base.shape[2] == 1 and made.shape[2] == 3:
        base = np.repeat(base, 3, axis=2)
    if base.shape != made.shape:
        counts = f"the picture has {base.shape[2]} channels, the model makes {made.shape[2]}"
        raise ImageError(original.source, f"{counts}, so no part can be replaced; translate without a mask")
    dtype = original.spec.dtype
    pixels = np.where(inside[:, :, None], convert_samples(made, dtype), base)
    if original.alpha is not None:
        pixels = np.concatenate([pixels, original.alpha], axis=2)
    return replace(original, pixels=pixels)
