"""Film of the demonstration: a pan over a photograph never trained on, under a mosaic and restored frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganvas.demonstration.photographs import BLOCK
from ganvas.errors import PolicyRefusal
from ganvas.image.cover import mosaic
from ganvas.image.picture import Picture
from ganvas.inference.folder import translate_files
from ganvas.video import write_video

__all__ = ["FOLDER", "DemoFilm", "make_film", "pan"]

FOLDER = "film"
"""Folder of the demonstration that holds the films."""
COUNT, RATE = 24, 12
"""Frames, and frames a second."""
HEIGHT, WIDTH = 128, 192
"""Of a frame, in pixels; the mosaic's grid is fixed to it, and the photograph moves below."""


@dataclass(frozen=True, kw_only=True)
class DemoFilm:
    """The film as WebP animations.

    Attributes:
        name: of the photograph.
        covered: under the mosaic.
        restored: by the recommended run; None where the content gate refused a frame.
        refusal: why.
    """

    name: str
    covered: Path
    restored: Path | None
    refusal: str = ""


def pan(photograph: Picture) -> Iterator[Picture]:
    """Yield the frames: crops along the diagonal of a photograph, from its upper left to its lower right."""
    height, width = min(HEIGHT, photograph.height), min(WIDTH, photograph.width)
    tops = np.linspace(0, photograph.height - height, COUNT).round().astype(int)
    lefts = np.linspace(0, photograph.width - width, COUNT).round().astype(int)
    for top, left in zip(tops, lefts, strict=True):
        yield Picture(np.ascontiguousarray(photograph.color[top : top + height, left : left + width]))


def make_film(name: str, photograph: Picture, run: Path, out: Path) -> DemoFilm:
    """Write the film under a mosaic, and as a run restores it.

    Args:
        name: of the photograph, which the content gate has admitted.
        photograph: uncovered.
        run: the run folder.
        out: the folder of the demonstration.
    """
    covered, restored = (out / FOLDER / f"{kind}.webp" for kind in ("covered", "restored"))
    write_video(covered, (Picture(mosaic(frame.pixels, BLOCK)) for frame in pan(photograph)), rate=RATE)
    try:
        translate_files(run, covered, restored, progress=False)
    except PolicyRefusal as refusal:
        return DemoFilm(name=name, covered=covered, restored=None, refusal=str(refusal))
    return DemoFilm(name=name, covered=covered, restored=restored)
