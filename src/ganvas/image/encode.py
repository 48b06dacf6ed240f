"""From pixels to the bytes of a picture file, with nothing else in it but the label of a synthetic one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.formats import Format
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, Pixels
from ganvas.image.png import insert_text

__all__ = ["encode"]

JPEG_QUALITY = 95
WEBP_EFFORT = 20
"""Without loss, WebP reads its quality as effort; more costs four times the time for a tenth of the bytes."""
PNG_LEVEL = 4
"""A third of the time of level 6 for 5 % more bytes."""


def encode(picture: Picture, target: Format, path: Path, label: SyntheticLabel | None) -> bytes:
    """The bytes of a file; the format has been checked to hold the picture, `path` is for messages.

    Raises:
        ImageError: more rows or columns than the format can count.
    """
    pixels = np.ascontiguousarray(picture.pixels)
    match target:
        case "tiff":
            from ganvas.image.tiff import encode_tiff  # slow to import

            return encode_tiff(picture, xmp=label.as_xmp() if label else None)
        case "npy":
            return _encode_npy(pixels)
        case "png":
            data = _encode_png(_flat(pixels))
            return insert_text(data, label.as_text(), label.as_xmp()) if label else data
        case "jpeg" | "webp" | "bmp":
            return _encode_pillow(_flat(pixels), target, path, label.as_xmp() if label else b"")


def _encode_npy(pixels: Pixels) -> bytes:
    stream = BytesIO()
    np.save(stream, pixels, allow_pickle=False)
    return stream.getvalue()


def _encode_png(pixels: Pixels) -> bytes:
    if pixels.dtype == np.uint16:
        import imagecodecs  # slow to import

        return bytes(imagecodecs.png_encode(pixels, level=PNG_LEVEL))
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=PNG_LEVEL)
    return stream.getvalue()


def _encode_pillow(pixels: Pixels, target: Format, path: Path, xmp: bytes) -> bytes:
    stream, image = BytesIO(), Image.fromarray(pixels)
    try:
        if target == "jpeg":
            image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, xmp=xmp)
        elif target == "webp":
            image.save(stream, "WEBP", lossless=True, exact=True, quality=WEBP_EFFORT, method=1, xmp=xmp)
        else:
            image.save(stream, "BMP")
    except (OSError, ValueError) as error:
        size = f"{image.width} x {image.height}"
        raise ImageError(path, f"{target} cannot hold {size} pixels ({error}); write .png or .tif") from error
    return stream.getvalue()


def _flat(pixels: Pixels) -> Pixels:
    """(H, W) for one channel, as the encoders want it."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
