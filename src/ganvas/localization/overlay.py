"""A heat map drawn over its picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ganvas.image.picture import Box
from ganvas.localization.evidence import Floats
from ganvas.localization.preprocess import Bytes

# Black, violet, red, orange, pale yellow: brightness rises all the way, so it survives grey printing.
_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)


def overlay(rgb: Bytes, heat: Floats, *, boxes: Sequence[Box] = (), strength: float = 0.6) -> Bytes:
    """(H, W, 3) uint8: the picture in grey where it is cold, coloured where it is hot.

    Args:
        rgb: (H, W, 3) uint8.
        heat: (H, W) in [0, 1].
        boxes: drawn as frames.
        strength: share of the colour map where it is hottest, in [0, 1].
    """
    grey = rgb.mean(axis=2, keepdims=True)
    share = strength * np.sqrt(heat)[:, :, None]
    mixed = (1 - share) * grey + share * colour_map(heat)
    drawn = Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))
    line = max(round(min(rgb.shape[:2]) / 128), 1)
    for box in boxes:
        frame = (box.left, box.top, box.right - 1, box.bottom - 1)
        ImageDraw.Draw(drawn).rectangle(frame, outline=(255, 255, 255), width=line)
    return np.asarray(drawn)


def colour_map(heat: Floats) -> Floats:
    """(H, W, 3) in 0..255, of heat (H, W) in [0, 1]."""
    positions = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(heat, positions, _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)
