"""Selection of evaluation pictures, and conversion between pictures and tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.data.config import DataConfig, UnpairedData
from ganvas.data.films import has_pictures
from ganvas.data.layouts import Split, has_split
from ganvas.errors import DataError
from ganvas.image.picture import Picture, PictureSpec
from ganvas.image.ranges import from_signed, to_unit

__all__ = ["as_picture", "as_unit", "choose_split", "enlarged", "evenly"]


def choose_split(data: DataConfig) -> Split:
    """Return "test" where there is a test split, else "val".

    Raises:
        DataError: there is neither.
    """
    if not data.folder.exists():
        raise DataError(f"{data.folder}: no such folder; check the name, or give --data DIR")
    splits: tuple[Split, ...] = ("test", "val")
    for split in splits:
        if has_pictures(data, split):
            return split
    raise DataError(f"{data.folder} has no test and no val split: {_remedy(data, splits)}")


def _remedy(data: DataConfig, splits: Sequence[Split]) -> str:
    if not data.paired:
        return "put pictures that training never sees into testA and testB"
    for split in splits:
        if has_split(UnpairedData(folder=data.folder), split):
            return (
                f"{split}A and {split}B are sides that need not correspond, and outputs are measured against targets "
                "here: give a folder of pairs, those that training never sees in its folder test"
            )
    return "put pictures that training never sees into test"


def evenly(total: int, wanted: int) -> list[int]:
    """Return at most `wanted` of `total` indices, evenly spread, including both ends."""
    count = min(total, wanted)
    return [round(index * (total - 1) / max(count - 1, 1)) for index in range(count)]


def as_picture(signed: Tensor, spec: PictureSpec) -> Picture:
    """Convert (1, C, H, W) in [-1, 1] to the picture that a file would hold."""
    return Picture(np.ascontiguousarray(from_signed(signed[0].permute(1, 2, 0).cpu().numpy(), spec)))


def as_unit(picture: Picture, spec: PictureSpec) -> Tensor:
    """Convert a picture to (1, C, H, W) in [0, 1], without alpha."""
    return torch.from_numpy(to_unit(picture.color, spec)).permute(2, 0, 1)[None].clamp(0, 1)


def enlarged(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, C, H, W) in [0, 1] by bicubic interpolation, a = -0.5, where the size differs."""
    if images.shape[-2:] == torch.Size(size):
        return images
    return functional.interpolate(images, tuple(size), mode="bicubic", antialias=True).clamp(0, 1)
