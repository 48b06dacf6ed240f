"""Attacks that nobody has to train: interpolation between the blocks, and the inverse of the known blur."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ganvas.image.cover import KERNEL_REACH, bicubic_resize
from ganvas.privacy_audit.covers import Hiding

__all__ = ["Recover", "fixed_attacks", "interpolate", "kernel_of", "wiener"]

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float64]
Recover = Callable[[Rgb], Rgb]
"""A covered picture (H, W, 3) -> a guess at what was there."""
NOISES = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 1))
"""Power of the noise, as a share of the picture's at the lowest frequency, that are tried on the training pictures."""
NUM_TRIED = 24
"""Training pictures that they are tried on."""


def fixed_attacks(hiding: Hiding, pictures: Sequence[Rgb], covered: Sequence[Rgb]) -> dict[str, Recover]:
    """Name -> attack; the noise that Wiener's filter assumes is the best of `NOISES` for these training pictures.

    Args:
        hiding: what is attacked, its kernel being known.
        pictures: to choose by, as they are.
        covered: the same, covered.
    """
    if hiding.style == "solid":
        return {}
    attacks: dict[str, Recover] = {}
    if hiding.style == "mosaic":
        side = hiding.cover.block_size or 1
        attacks["bicubic"] = lambda image: interpolate(image, side)
    pairs = list(zip(pictures, covered, strict=True))[:NUM_TRIED]
    noise = min(NOISES, key=lambda noise: _error(_wiener_of(hiding, noise), pairs))
    return attacks | {"Wiener": _wiener_of(hiding, noise)}


def interpolate(image: Rgb, side: int) -> Rgb:
    """The means of a mosaic's blocks, enlarged by bicubic interpolation. image: (H, W, C)."""
    height, width = image.shape[:2]
    means = np.ascontiguousarray(image[::side, ::side])
    enlarged: Rgb = bicubic_resize(means, side * means.shape[0], side * means.shape[1])[:height, :width]
    return enlarged


def kernel_of(hiding: Hiding) -> Floats:
    """(2 r + 1,): the weights of pixels at distances -r ... r in one direction; their sum is 1.

    A mosaic's mean is that of a block about its middle: for an even side the two ends lie half inside.
    """
    if hiding.style == "blur":
        reach = int(KERNEL_REACH * hiding.strength + 0.5)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / hiding.strength) ** 2)
    else:
        side = hiding.cover.block_size or 1
        weights = np.ones(2 * (side // 2) + 1)
        if side % 2 == 0:
            weights[[0, -1]] = 0.5
    return np.asarray(weights / weights.sum())


def wiener(image: Rgb, kernel: Floats, noise: float) -> Rgb:
    """Undo a symmetric blur in both directions; borders are taken as mirrored, for which cosines are exact.

    Wiener's filter H / (H^2 + N / S), with the power S of photographs falling as 1 / f^2 (Field 1987).

    Args:
        image: (H, W, C), blurred.
        kernel: of one direction, as `kernel_of`.
        noise: N, where S is 1 at the lowest frequency.
    """
    height, width = image.shape[:2]
    response = np.outer(_response(kernel, height), _response(kernel, width))
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None] / width
    inverse_power = (rows**2 + columns**2) * max(height, width) ** 2
    gain = response / (response**2 + noise * inverse_power + 1e-12)
    gain[0, 0] = 1.0  # the mean stays as it is
    spectrum = fft.dctn(image.astype(np.float64), axes=(0, 1), norm="ortho")
    sharpened = fft.idctn(spectrum * gain[:, :, None], axes=(0, 1), norm="ortho")
    return np.clip(np.rint(sharpened), 0, 255).astype(np.uint8)


def _response(kernel: Floats, size: int) -> Floats:
    """What the kernel makes of the cosines of a line of that many pixels."""
    reach = len(kernel) // 2
    distances = np.arange(-reach, reach + 1)
    cosines: Floats = np.cos(math.pi * np.arange(size)[:, None] * distances / size)
    return np.asarray(cosines @ kernel)


def _wiener_of(hiding: Hiding, noise: float) -> Recover:
    kernel, side = kernel_of(hiding), hiding.cover.block_size or 1
    if hiding.style == "mosaic":
        return lambda image: wiener(interpolate(image, side), kernel, noise)
    return lambda image: wiener(image, kernel, noise)


def _error(recover: Recover, pairs: Sequence[tuple[Rgb, Rgb]]) -> float:
    """Mean squared error over the pairs of picture and covered picture."""
    return float(np.mean([np.mean((recover(covered).astype(float) - picture) ** 2) for picture, covered in pairs]))
