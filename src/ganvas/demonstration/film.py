"""Film of the demonstration: a pan over a held-out photograph, under a mosaic and restored frame by frame."""

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
"""Name of the folder of the films, inside that of the demonstration."""
COUNT, RATE = 24, 12
"""Number of frames, and frames per second."""
HEIGHT, WIDTH = 128, 192
"""Size of a frame in pixels; the mosaic's grid is fixed to the frame, and the photograph moves below it."""


@dataclass(frozen=True, kw_only=True)
class DemoFilm:
    """Paths of the film as WebP animations.

    Attributes:
        name: name of the photograph.
        covered: the film under the mosaic.
        restored: the film restored by the recommended run; None if the content gate refused a frame.
        refusal: the reason of the refusal.
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
    """Write the film under a mosaic, and its restoration by a run.

    Args:
        name: name of the photograph, which the content gate has admitted.
        photograph: the uncovered photograph.
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
