"""Pictures of any size through networks that want multiples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.methods.base import Method
from ganvas.methods.config import Direction

SMALLEST_SIDE = 16
"""Pixels; smaller pictures are padded to it, so that networks that mirror their borders have something to mirror."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W): rows and columns mirrored at the bottom and at the right until both sides are multiples.

    The top left corner stays where it is: a network with strides has a grid, and a picture with a grid of its own (a
    mosaic, JPEG blocks) must meet it as in training. Padding both sides by half turned mosaics back into mosaics.
    """
    for dim in (-2, -1):
        size = images.shape[dim]
        wanted = padded_size(size, multiple)
        if wanted > size:
            images = images.index_select(dim, torch.from_numpy(mirrored(size, 0, wanted)).to(images.device))
    return images


def padded_size(size: int, multiple: int) -> int:
    """The next size that the network can take."""
    return -(-max(size, SMALLEST_SIDE) // multiple) * multiple


def mirrored(size: int, start: int, stop: int) -> NDArray[np.intp]:
    """Places `start` to `stop` of 0 1 2 1 0 1 ...: indices into `size`, the edge not repeated."""
    index = np.arange(start, stop) % max(2 * size - 2, 1)
    return np.where(index < size, index, 2 * size - 2 - index)


def translate_padded(method: Method, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
    """(N, C, H, W) in [-1, 1] of any size -> (N, C', scale H, scale W) in [-1, 1]: pad, translate, crop."""
    height, width = (method.scale * side for side in images.shape[-2:])
    return method.translate(pad_to_multiple(images, method.size_multiple), direction=direction)[..., :height, :width]
