"""Crops of cached pictures as network inputs in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganvas.data.layouts import some_names
from ganvas.data.memmap import Side
from ganvas.errors import DataError
from ganvas.image.picture import PictureSpec, Pixels
from ganvas.image.ranges import make_signed

__all__ = ["Crop", "require_crops", "signed_crops", "signed_picture"]


@dataclass(frozen=True)
class Crop:
    """Position of a crop in pixels, and whether it is mirrored left to right."""

    top: int
    left: int
    mirror: bool


def signed_crops(
    pictures: Sequence[Pixels], crops: Sequence[Crop], size: tuple[int, int], spec: PictureSpec, device: torch.device
) -> Tensor:
    """Return crops as (N, C, height, width) float32 in [-1, 1] on the device.

    On a CPU each channel of a crop is converted while it is in the core's cache, in one thread, which is several times
    faster than successive passes over the batch. To a GPU the samples are copied in their small type.

    Args:
        pictures: N pictures (C, H, W) of the type of `spec`.
        crops: one for each picture, inside it.
        size: height and width of every crop.
        spec: type and value range of the samples.
        device: device of the result.
    """
    shape = (len(pictures), spec.channels, *size)
    if device.type == "cpu":
        images = torch.empty(shape)
        for image, picture, crop in zip(images.numpy(), pictures, crops, strict=True):
            for signed, channel in zip(image, picture, strict=True):
                np.copyto(signed, _crop_view(channel, crop, size))
                make_signed(signed, spec.value_range)
        return images
    levels = torch.empty(shape, dtype=getattr(torch, spec.dtype), pin_memory=device.type == "cuda")
    for level, picture, crop in zip(levels.numpy(), pictures, crops, strict=True):
        np.copyto(level, _crop_view(picture, crop, size))
    images = levels.to(device, non_blocking=True).to(torch.float32)
    make_signed(images, spec.value_range)
    return images


def signed_picture(picture: Pixels, spec: PictureSpec, device: torch.device) -> Tensor:
    """Return a whole picture (C, H, W) as (1, C, H, W) float32 in [-1, 1] on the device."""
    _, height, width = picture.shape
    return signed_crops([picture], [Crop(0, 0, mirror=False)], (height, width), spec, device)


def require_crops(side: Side, size: tuple[int, int]) -> None:
    """Require that every picture of a side is at least as large as the crop.

    Raises:
        DataError: some are smaller; the message names them.
    """
    small = np.flatnonzero((side.sizes < size).any(axis=1)).tolist()
    if not small:
        return
    listed = some_names([f"{side.names[row]} ({side.sizes[row][1]}x{side.sizes[row][0]})" for row in small])
    crop = f"{size[1]}x{size[0]}"
    remedy = "make crop_size smaller, or resize 'stretch' or 'shorter_side', or remove them"
    raise DataError(f"{len(small)} pictures are smaller than the crop of {crop}; {remedy}: {listed}")


def _crop_view(picture: Pixels, crop: Crop, size: tuple[int, int]) -> Pixels:
    """Return a crop (..., height, width) of a picture (..., H, W): a view, or a mirrored copy."""
    height, width = size
    part = picture[..., crop.top : crop.top + height, crop.left : crop.left + width]
    if not crop.mirror:
        return part
    if part.dtype != np.uint8 or width % 8:
        return np.ascontiguousarray(part[..., ::-1])  # conversion from a mirrored view is slow
    turned = np.empty(part.shape, np.uint8)  # reverse eight bytes at a time: many times faster
    np.copyto(turned.view(">u8"), np.ascontiguousarray(part).view("<u8")[..., ::-1])
    return turned
