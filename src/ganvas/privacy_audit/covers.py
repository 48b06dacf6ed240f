"""Planned covers of a privacy audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.data.config import DegradationName
from ganvas.errors import ConfigError
from ganvas.image.cover import Cover, Style, cover
from ganvas.image.picture import Box


@dataclass(frozen=True, kw_only=True)
class PlannedCover:
    """Planned cover over a whole square picture.

    Attributes:
        name: as in tables.
        style: solid, mosaic or blur.
        strength: blocks across, or sigma in pixels; 0 for solid.
        cover: what is done, in pixels.
    """

    name: str
    style: Style
    strength: float
    cover: Cover

    @property
    def degradation(self) -> tuple[DegradationName, float] | None:
        """Return the degradation of a restorer's training pictures; None where nothing is left to restore from."""
        if self.style == "mosaic":
            return "mosaic", float(self.cover.block_size or 0)
        return ("blur", self.strength) if self.style == "blur" else None

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cover a picture: (H, W, 3) -> (H, W, 3)."""
        covered: NDArray[np.uint8] = cover(image, Box(0, 0, image.shape[1], image.shape[0]), self.cover)
        return covered


def plan_covers(
    styles: Sequence[Style], *, blocks: Sequence[int], sigmas: Sequence[float], size: int
) -> tuple[PlannedCover, ...]:
    """Return every style at every strength, the weakest of each first.

    Args:
        styles: each once.
        blocks: of a mosaic, across the picture.
        sigmas: of a blur, in pixels.
        size: side of the pictures.

    Raises:
        ConfigError: no style, one twice, one without strengths, or a mosaic with blocks of one pixel.
    """
    if not styles or len(set(styles)) < len(styles):
        raise ConfigError("give one or more styles, each once: mosaic, blur, solid")
    planned: list[PlannedCover] = []
    for style in styles:
        if style == "solid":
            planned.append(PlannedCover(name="solid", style=style, strength=0.0, cover=Cover()))
        elif style == "mosaic":
            planned += [_mosaic(count, size) for count in sorted(blocks, reverse=True)]
        else:
            planned += [_blur(sigma) for sigma in sorted(sigmas)]
    if missing := set(styles) - {plan.style for plan in planned}:
        raise ConfigError(f"{', '.join(sorted(missing))}: give strengths, --blocks 8 16 or --sigmas 2 4")
    return tuple(planned)


def _mosaic(blocks: int, size: int) -> PlannedCover:
    if not 1 <= blocks <= size // 2:
        raise ConfigError(f"{blocks} blocks across {size} pixels: give 1 to {size // 2}, or a larger --size")
    side = math.ceil(size / blocks)
    name = f"mosaic, {blocks} blocks across"
    return PlannedCover(name=name, style="mosaic", strength=blocks, cover=Cover(style="mosaic", block_size=side))


def _blur(sigma: float) -> PlannedCover:
    return PlannedCover(
        name=f"blur, sigma {sigma:g}", style="blur", strength=sigma, cover=Cover(style="blur", sigma=sigma)
    )
