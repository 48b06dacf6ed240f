"""Conversion between images of any type and the input and output of a trained model."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.data.config import DataConfig
from ganvas.errors import ImageError
from ganvas.image.codecs import picture_of_pillow
from ganvas.image.files import read_image, read_image_bytes
from ganvas.image.picture import NATURAL_RANGE, Picture, PictureSpec, Pixels
from ganvas.image.ranges import (
    all_finite,
    convert_samples,
    describe_transfer,
    from_signed,
    signed_from_unit,
    strips,
    to_signed,
    to_unit,
)

Indices = NDArray[np.intp] | slice
AnyImage = Picture | Path | str | bytes | BytesIO | Image.Image | NDArray[Any] | torch.Tensor
GRAY_REPEATED = "gray was repeated to RGB, which the model expects"
PILLOW_MODES = frozenset(("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"))
"""Pillow modes of 8 bits, which are converted like files."""
OTHER_SCALE = 2
"""Smallest ratio of sizes to the training pictures that causes a note about the scale of details."""


def as_picture(image: AnyImage, *, channels: int) -> Picture:
    """Return any image as a Picture.

    Args:
        image: a Picture, a file, the bytes of a file, a Pillow image, an array (H, W) or (H, W, C), or a tensor
            (C, H, W); arrays and tensors of uint8, uint16 or float in [0, 1].
        channels: input channels of the model; with 1 or 3, an additional channel in an array or tensor is opacity.

    Raises:
        ImageError: a file that cannot be read, or an array of another shape or type.
        TypeError: another kind of object.
    """
    match image:
        case Picture():
            return image
        case str() | Path():
            return read_image(Path(image))
        case bytes():
            return read_image_bytes(image)
        case BytesIO():
            return read_image_bytes(image.getvalue())
        case Image.Image():
            return _from_pillow(image)
        case torch.Tensor():
            return _from_array(_from_tensor(image), channels)
        case np.ndarray():
            if image.ndim not in (2, 3):
                raise ImageError(None, f"expected an array (H, W) or (H, W, C), got {image.shape}")
            return _from_array(image if image.ndim == 3 else image[:, :, None], channels)
    kinds = "a path, a file's bytes, a Picture, a Pillow image, an array (H, W, C) or a tensor (C, H, W)"
    raise TypeError(f"an image of type {type(image).__name__} cannot be read; expected {kinds}")


def as_kind_of(image: AnyImage, result: Picture) -> Any:
    """Convert the result to the type of the input: a Pillow image, array or tensor, else a Picture."""
    if isinstance(image, Image.Image):
        return _to_pillow(result)
    if isinstance(image, torch.Tensor):
        return torch.from_numpy(np.ascontiguousarray(result.pixels.transpose(2, 0, 1))).to(image.device)
    if isinstance(image, np.ndarray):
        return result.pixels[:, :, 0] if image.ndim == 2 and result.pixels.shape[2] == 1 else result.pixels
    return result


def picture_from_signed(signed: torch.Tensor, spec: PictureSpec) -> Picture:
    """Convert (1, C, H, W) in [-1, 1] to the picture to store in a file."""
    return Picture(np.ascontiguousarray(from_signed(signed[0].permute(1, 2, 0).cpu().numpy(), spec)))


def unit_from_picture(picture: Picture, spec: PictureSpec) -> torch.Tensor:
    """Convert a picture to (1, C, H, W) in [0, 1], without alpha."""
    return torch.from_numpy(to_unit(picture.color, spec)).permute(2, 0, 1)[None].clamp(0, 1)


def input_notes(
    picture: Picture, spec: PictureSpec, data: DataConfig | None, *, any_scale: bool, is_frame: bool = False
) -> tuple[str, ...]:
    """Return notes for the user on a picture before translation, one sentence each.

    Args:
        picture: the picture.
        spec: input of the model.
        data: its training data, if known.
        any_scale: whether the model upscales pictures or resizes them to the training size.
        is_frame: whether it is a frame of a film, whose transfer function is that of the model.

    Raises:
        ImageError: see `check_input`.
    """
    notes = picture.notes + check_input(picture, spec)
    if spec.transfer is not None and not is_frame:
        notes += (
            f"the model was trained {describe_transfer(spec.transfer)} on film frames: the values of a picture are "
            "taken as if they were coded so, and those of the result are coded so",
        )
    return notes if data is None or any_scale else notes + _scale_note(picture, data)


def _scale_note(picture: Picture, data: DataConfig) -> tuple[str, ...]:
    """Return a note if the picture's details have another scale than those of the training pictures."""
    if data.resize == "none":  # pictures have their own scales
        return ()
    trained, given = min(data.load_size), min(picture.height, picture.width)
    if trained < OTHER_SCALE * given and given < OTHER_SCALE * trained:
        return ()
    size = "large" if given > trained else "small"
    return (
        f"at least {OTHER_SCALE} times as {size} as the training's pictures, whose shorter side had {trained} pixels: "
        "details have another scale than in training; for better results resize the pictures to about that size",
    )


def check_input(picture: Picture, spec: PictureSpec) -> tuple[str, ...]:
    """Return notes on the conversions that a model of that input requires, one sentence each.

    Raises:
        ImageError: the model does not accept the channels or pixel values; names the remedy.
    """
    notes = []
    channels, found = picture.spec.channels, picture.pixels.dtype.name
    if channels == 1 and spec.channels == 3:
        channels, notes = 3, [GRAY_REPEATED]
    if channels != spec.channels:
        raise ImageError(picture.source, _channel_problem(channels, spec.channels))
    if not all_finite(picture.color):
        raise ImageError(picture.source, "some pixel values are NaN or infinite; replace them first")
    if found != spec.dtype:
        _check_convertible(picture, spec)
        notes.append(f"{found} was converted to the model's {spec.dtype}, full range to full range")
    elif spec.value_range != NATURAL_RANGE[spec.dtype]:
        _check_within(picture, spec)
    return tuple(notes)


def signed_part(picture: Picture, spec: PictureSpec, rows: Indices, columns: Indices) -> NDArray[np.float32]:
    """Return the model input for some rows and columns of a picture that `check_input` accepted.

    Returns:
        (C, h, w) in [-1, 1].
    """
    signed = _to_signed(picture.color[rows][:, columns], spec)
    return np.repeat(signed, spec.channels, axis=0) if len(signed) != spec.channels else signed


def signed_digest(picture: Picture, spec: PictureSpec, start: str) -> int:
    """Return 64 bits of the SHA-256 of `start` and the model input, (C, H, W) in [-1, 1]."""
    color, channels = picture.color, spec.channels
    digest = hashlib.sha256(f"{start} {(channels, picture.height, picture.width)}".encode())
    for channel in range(channels):
        plane = color[:, :, min(channel, color.shape[2] - 1), None]  # gray is repeated
        for rows in strips(plane):
            digest.update(_to_signed(plane[rows], spec).data)
    return int.from_bytes(digest.digest()[:8], "big")


def blank_result(picture: Picture, spec: PictureSpec, *, scale: int = 1) -> Picture:
    """Return an empty picture for a model's output, `scale` times as large, with the input's opacity and source."""
    height, width = scale * picture.height, scale * picture.width
    pixels = np.empty((height, width, spec.channels + picture.has_alpha), spec.dtype)
    if picture.alpha is not None:
        opacity = pixels.reshape(picture.height, scale, picture.width, scale, -1)[..., spec.channels :]
        for rows in strips(picture.alpha):
            opacity[rows] = convert_samples(picture.alpha[rows], spec.dtype)[:, None, :, None]
    resolution = picture.resolution and picture.resolution.scaled(scale)
    return Picture(pixels, has_alpha=picture.has_alpha, source=picture.source, resolution=resolution)


def write_part(result: Picture, spec: PictureSpec, top: int, left: int, signed: NDArray[np.float32]) -> None:
    """Write a part of a model's output into the result, without padding beyond the picture.

    Args:
        result: a result of `blank_result`.
        spec: specification of the model's output.
        top: first row of the part.
        left: first column of the part.
        signed: (C, h, w) in [-1, 1].
    """
    color = result.color[top : top + signed.shape[1], left : left + signed.shape[2]]
    inside = signed.transpose(1, 2, 0)[: color.shape[0], : color.shape[1]]
    for rows in strips(inside) if inside.size else ():
        color[rows] = from_signed(inside[rows], spec)


def _to_signed(pixels: Pixels, spec: PictureSpec) -> NDArray[np.float32]:
    """Convert (H, W, C) pixel values to (C, H, W) in [-1, 1]."""
    same = pixels.dtype.name == spec.dtype
    signed = to_signed(pixels, spec) if same else signed_from_unit(to_unit(pixels))
    return np.ascontiguousarray(signed.transpose(2, 0, 1))


def _channel_problem(found: int, needed: int) -> str:
    remedies = {1: "convert it to gray first", 3: "convert it to RGB first"}
    remedy = remedies.get(needed, "use the channels it was trained on")
    return f"{found} channel{'s' * (found > 1)}, but the model expects {needed}; {remedy}"


def _check_convertible(picture: Picture, spec: PictureSpec) -> None:
    found = picture.pixels.dtype.name
    if spec.value_range != NATURAL_RANGE[spec.dtype]:
        raise ImageError(picture.source, f"{found} samples, but {_trained_on(spec)}; use {spec.dtype}")
    if found == "float32" and (picture.color.min() < 0 or picture.color.max() > 1):
        raise ImageError(
            picture.source, f"float32 outside [0, 1] passed to a model of {spec.dtype}; scale it to [0, 1]"
        )


def _check_within(picture: Picture, spec: PictureSpec) -> None:
    """Raise ImageError if a pixel value lies outside the range of the training pictures."""
    low, high = spec.value_range
    smallest, largest = float(picture.color.min()), float(picture.color.max())
    if not low <= smallest <= largest <= high:
        found = f"values from {smallest:g} to {largest:g}"
        raise ImageError(picture.source, f"{found}, but {_trained_on(spec)}; scale or clip them to that range")


def _trained_on(spec: PictureSpec) -> str:
    low, high = spec.value_range
    return f"the model was trained on {spec.dtype} with values {low:g} to {high:g}"


def _from_array(pixels: NDArray[Any], channels: int) -> Picture:
    """Return (H, W, C) as a Picture."""
    pixels = pixels.astype(np.float32, copy=False) if pixels.dtype.kind == "f" else pixels
    return Picture(pixels, has_alpha=pixels.shape[2] in (2, 4) and pixels.shape[2] == channels + 1)


def _from_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    """Return (C, H, W), on any device, as an array (H, W, C)."""
    if tensor.ndim != 3:
        raise ImageError(None, f"expected a tensor (C, H, W), got {tuple(tensor.shape)}; pass one picture at a time")
    plain = tensor.detach().cpu()
    plain = plain.float() if plain.is_floating_point() else plain
    return np.ascontiguousarray(plain.numpy().transpose(1, 2, 0))


def _from_pillow(image: Image.Image) -> Picture:
    if image.mode.startswith("I;16"):
        return Picture(np.asarray(image).astype(np.uint16)[:, :, None])
    if image.mode == "F":
        return Picture(np.array(image)[:, :, None])
    if image.mode not in PILLOW_MODES:
        raise ImageError(None, f"a Pillow image of mode {image.mode}; convert it to L, RGB or RGBA, or pass an array")
    return picture_of_pillow(image)


def _to_pillow(picture: Picture) -> Image.Image:
    channels, kind = picture.pixels.shape[2], picture.pixels.dtype.name
    if kind == "uint8" and channels <= 4:
        return Image.fromarray(picture.pixels[:, :, 0] if channels == 1 else picture.pixels)
    if channels == 1:
        return Image.fromarray(picture.pixels[:, :, 0])
    raise ImageError(None, f"Pillow does not support {channels} channels of {kind}; pass a Picture or an array instead")
