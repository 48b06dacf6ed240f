"""Replacing only the masked part of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ImageError
from ganvas.image.files import list_images, read_image
from ganvas.image.picture import Picture
from ganvas.image.ranges import to_unit
from ganvas.inference.adapt import convert_samples


def find_mask(masks: Path, picture: Path) -> Path:
    """The mask of a picture: `masks` itself, or the file of the same stem in that folder.

    Raises:
        ImageError: the folder has no such file.
    """
    if not masks.is_dir():
        return masks
    for path in list_images(masks):
        if path.stem == picture.stem:
            return path
    raise ImageError(picture, f"no mask {picture.stem}.* in {masks}; add one (all black leaves the picture as it is)")


def read_mask(path: Path, like: Picture) -> NDArray[np.bool_]:
    """(H, W) bool: True where the mask is at least half white in any channel.

    Raises:
        ImageError: it cannot be read or has another size than the picture.
    """
    mask = read_image(path)
    if (mask.height, mask.width) != (like.height, like.width):
        size, wanted = f"{mask.width} x {mask.height}", f"{like.width} x {like.height}"
        raise ImageError(path, f"the mask has {size} pixels, the picture {like.source} has {wanted}; make them equal")
    return np.asarray(to_unit(mask.colour).max(axis=2) >= 0.5)


def composite(original: Picture, translated: Picture, inside: NDArray[np.bool_]) -> Picture:
    """The original with its masked part taken from the translation; elsewhere every sample is the original's.

    Args:
        original: opacity is kept from it; grey is repeated where the translation has three channels.
        translated: of the same size; converted to the original's sample type.
        inside: (H, W) bool.

    Raises:
        ImageError: the translation has other channels.
    """
    base, made = original.colour, translated.colour
    if base.shape[2] == 1 and made.shape[2] == 3:
        base = np.repeat(base, 3, axis=2)
    if base.shape != made.shape:
        counts = f"the picture has {base.shape[2]} channels, the model makes {made.shape[2]}"
        raise ImageError(original.source, f"{counts}, so no part can be replaced; translate without a mask")
    dtype = original.spec.dtype
    pixels = np.where(inside[:, :, None], convert_samples(made, dtype), base)
    if original.alpha is not None:
        pixels = np.concatenate([pixels, original.alpha], axis=2)
    return Picture(pixels, has_alpha=original.has_alpha, source=original.source)
