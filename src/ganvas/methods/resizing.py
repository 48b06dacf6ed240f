"""Translation by networks that know one size alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def at_size(translate: Callable[[Tensor], Tensor], images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (N, C, H, W) of any size, through a translation of pictures of `size`, brought back to H and W.

    The result has no more detail than a picture of `size`.
    """
    given = tuple(images.shape[-2:])
    if given == size:
        return translate(images)
    return resized(translate(resized(images, size)), given)


def resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear, antialiased where it shrinks, so within the range given."""
    return functional.interpolate(images, size, mode="bilinear", antialias=True)
