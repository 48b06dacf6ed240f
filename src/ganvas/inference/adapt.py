"""Between pictures of any kind and what a trained model takes and gives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.files import read_image
from ganvas.image.picture import NATURAL_RANGE, DType, Picture, PictureSpec, Pixels
from ganvas.image.ranges import from_signed, from_unit, signed_from_unit, to_signed, to_unit
from ganvas.image.samples import all_finite, strips

Indices = NDArray[np.intp] | slice
AnyImage = Picture | Path | str | Image.Image | NDArray[Any]
GREY_REPEATED = "grey was repeated to RGB, which is what the model takes"
PIL_MODES = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB", "PA": "RGBA", "La": "LA"}


def as_picture(image: AnyImage, *, channels: int) -> Picture:
    """Any image as a Picture.

    Args:
        image: a Picture, a file, a Pillow image, or an array (H, W) or (H, W, C) of uint8, uint16 or float in [0, 1].
        channels: what the model takes; one channel more than 1 or 3 in an array is opacity.

    Raises:
        ImageError: a file that cannot be read, or an array of another shape or type.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return _from_pillow(image)
    if image.ndim not in (2, 3):
        raise ImageError(None, f"expected an array (H, W) or (H, W, C), got {image.shape}")
    pixels = image[:, :, None] if image.ndim == 2 else image
    pixels = pixels.astype(np.float32, copy=False) if pixels.dtype.kind == "f" else pixels
    return Picture(pixels, has_alpha=pixels.shape[2] in (2, 4) and pixels.shape[2] == channels + 1)


def as_kind_of(image: AnyImage, result: Picture) -> Any:
    """The result as the kind of image that was given: Pillow for Pillow, array for array, else a Picture."""
    if isinstance(image, Image.Image):
        return _to_pillow(result)
    if isinstance(image, np.ndarray):
        return result.pixels[:, :, 0] if image.ndim == 2 and result.pixels.shape[2] == 1 else result.pixels
    return result


def check_input(picture: Picture, spec: PictureSpec) -> tuple[str, ...]:
    """Notes on what has to be changed for a model of that input, one sentence for each conversion.

    Raises:
        ImageError: channels or samples that the model cannot take; names the mend.
    """
    notes = []
    channels, found = picture.spec.channels, picture.pixels.dtype.name
    if channels == 1 and spec.channels == 3:
        channels, notes = 3, [GREY_REPEATED]
    if channels != spec.channels:
        raise ImageError(picture.source, _channel_problem(channels, spec.channels))
    if not all_finite(picture.colour):
        raise ImageError(picture.source, "some samples are NaN or infinite; replace them first")
    if found != spec.dtype:
        _check_convertible(picture, spec)
        notes.append(f"{found} was converted to the model's {spec.dtype}, full range to full range")
    elif spec.value_range != NATURAL_RANGE[spec.dtype]:
        _check_within(picture, spec)
    return tuple(notes)


def signed_part(picture: Picture, spec: PictureSpec, rows: Indices, columns: Indices) -> NDArray[np.float32]:
    """What a model of that input sees of some rows and columns of a picture that `check_input` has passed.

    Returns:
        (C, h, w) in [-1, 1].
    """
    signed = _to_signed(picture.colour[rows][:, columns], spec)
    return np.repeat(signed, spec.channels, axis=0) if len(signed) != spec.channels else signed


def signed_digest(picture: Picture, spec: PictureSpec, start: str) -> int:
    """64 bits of SHA-256 over `start` and all that the model sees, (C, H, W) in [-1, 1]."""
    colour, channels = picture.colour, spec.channels
    digest = hashlib.sha256(f"{start} {(channels, picture.height, picture.width)}".encode())
    for channel in range(channels):
        plane = colour[:, :, min(channel, colour.shape[2] - 1), None]  # grey is repeated
        for rows in strips(plane):
            digest.update(_to_signed(plane[rows], spec).data)
    return int.from_bytes(digest.digest()[:8], "big")


def blank_result(picture: Picture, spec: PictureSpec, *, scale: int = 1) -> Picture:
    """Room for a model's output, `scale` times as large, with the opacity and the origin of the picture given."""
    height, width = scale * picture.height, scale * picture.width
    pixels = np.empty((height, width, spec.channels + picture.has_alpha), spec.dtype)
    if picture.alpha is not None:
        opacity = pixels.reshape(picture.height, scale, picture.width, scale, -1)[..., spec.channels :]
        for rows in strips(picture.alpha):
            opacity[rows] = convert_samples(picture.alpha[rows], spec.dtype)[:, None, :, None]
    return Picture(pixels, has_alpha=picture.has_alpha, source=picture.source)


def write_part(result: Picture, spec: PictureSpec, top: int, left: int, signed: NDArray[np.float32]) -> None:
    """Put a part of a model's output where it belongs; what reaches beyond the picture was padding.

    Args:
        result: as `blank_result` made it.
        spec: the model's output.
        top: where the part begins.
        left: likewise.
        signed: (C, h, w) in [-1, 1].
    """
    colour = result.colour[top : top + signed.shape[1], left : left + signed.shape[2]]
    inside = signed.transpose(1, 2, 0)[: colour.shape[0], : colour.shape[1]]
    for rows in strips(inside) if inside.size else ():
        colour[rows] = from_signed(inside[rows], spec)


def convert_samples(pixels: Pixels, dtype: DType) -> Pixels:
    """Another sample type, full range to full range."""
    if pixels.dtype.name == dtype:
        return pixels
    return from_unit(to_unit(pixels), PictureSpec(dtype=dtype))


def _to_signed(pixels: Pixels, spec: PictureSpec) -> NDArray[np.float32]:
    """(H, W, C) samples -> (C, H, W) in [-1, 1]."""
    same = pixels.dtype.name == spec.dtype
    signed = to_signed(pixels, spec) if same else signed_from_unit(to_unit(pixels))
    return np.ascontiguousarray(signed.transpose(2, 0, 1))


def _channel_problem(found: int, needed: int) -> str:
    mends = {1: "convert it to grey first", 3: "convert it to RGB first"}
    mend = mends.get(needed, "give the channels it was trained on")
    return f"{found} channel{'s' * (found > 1)}, but the model takes {needed}; {mend}"


def _check_convertible(picture: Picture, spec: PictureSpec) -> None:
    found = picture.pixels.dtype.name
    if spec.value_range != NATURAL_RANGE[spec.dtype]:
        raise ImageError(picture.source, f"{found} samples, but {_trained_on(spec)}; give {spec.dtype}")
    if found == "float32" and (picture.colour.min() < 0 or picture.colour.max() > 1):
        raise ImageError(picture.source, f"float32 outside [0, 1] given to a model of {spec.dtype}; scale it to [0, 1]")


def _check_within(picture: Picture, spec: PictureSpec) -> None:
    """No sample may lie where the model saw none."""
    low, high = spec.value_range
    smallest, largest = float(picture.colour.min()), float(picture.colour.max())
    if not low <= smallest <= largest <= high:
        found = f"values from {smallest:g} to {largest:g}"
        raise ImageError(picture.source, f"{found}, but {_trained_on(spec)}; scale or cut them to that range")


def _trained_on(spec: PictureSpec) -> str:
    low, high = spec.value_range
    return f"the model was trained on {spec.dtype} with values {low:g} to {high:g}"


def _from_pillow(image: Image.Image) -> Picture:
    if image.mode.startswith("I;16"):
        return Picture(np.asarray(image).astype(np.uint16)[:, :, None])
    transparent = image.mode == "P" and "transparency" in image.info
    image = image.convert("RGBA" if transparent else PIL_MODES.get(image.mode, image.mode))
    if image.mode not in ("L", "LA", "RGB", "RGBA", "F"):
        raise ImageError(None, f"a Pillow image of mode {image.mode}; convert it to L, RGB or RGBA, or give an array")
    pixels = np.array(image)
    return Picture(pixels if pixels.ndim == 3 else pixels[:, :, None], has_alpha=image.mode in ("LA", "RGBA"))


def _to_pillow(picture: Picture) -> Image.Image:
    channels, kind = picture.pixels.shape[2], picture.pixels.dtype.name
    if kind == "uint8" and channels <= 4:
        return Image.fromarray(picture.pixels[:, :, 0] if channels == 1 else picture.pixels)
    if channels == 1:
        return Image.fromarray(picture.pixels[:, :, 0])
    raise ImageError(
        None, f"Pillow holds no picture of {channels} channels of {kind}; give a Picture or an array instead"
    )
