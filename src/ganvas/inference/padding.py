"""Pictures of any size through networks that want multiples."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas.methods.base import Method

SMALLEST_SIDE = 16
"""Pixels; smaller pictures are padded to it, so that networks that mirror their borders have something to mirror."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W): rows and columns mirrored at the bottom and at the right until both sides are multiples.

    The top left corner stays where it is: a network with strides has a grid, and a picture with a grid of its own (a
    mosaic, JPEG blocks) must meet it as in training. Padding both sides by half turned mosaics back into mosaics.
    """
    for dim in (-2, -1):
        size = images.shape[dim]
        wanted = -(-max(size, SMALLEST_SIDE) // multiple) * multiple
        images = images.index_select(dim, _mirrored(size, wanted).to(images.device)) if wanted > size else images
    return images


def _mirrored(size: int, wanted: int) -> Tensor:
    """0 1 2 1 0 1 ...: `wanted` indices into `size`, the edge not repeated."""
    index = torch.arange(wanted) % max(2 * size - 2, 1)
    return torch.where(index < size, index, 2 * size - 2 - index)


def translate_padded(method: Method, images: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] of any size -> (N, C', H, W) in [-1, 1]: pad, translate, crop."""
    height, width = images.shape[-2:]
    return method.translate(pad_to_multiple(images, method.size_multiple))[..., :height, :width]
