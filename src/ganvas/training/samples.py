"""Sample grids: the same few pictures each time, so that progress shows."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor

from ganvas import policy
from ganvas.errors import PolicyRefusal
from ganvas.image.files import write_image
from ganvas.image.grid import make_grid
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec
from ganvas.image.ranges import from_signed
from ganvas.inference.padding import translate_padded
from ganvas.methods.base import Method
from ganvas.training.pictures import Pictures

NUM_SHOWN = 4
GREY = 128


def write_samples(path: Path, method: Method, pictures: Pictures) -> list[str]:
    """Draw input, output and target of a few pairs into one picture.

    Every tile passes the content gate; a refused one is drawn grey.

    Returns:
        One sentence for each refused tile.
    """
    rows: list[list[Picture]] = []
    refused: list[str] = []
    for name, given, target in pictures.shown_pairs(NUM_SHOWN):
        output = translate_padded(method, given).float().clamp(-1, 1)
        specs = (pictures.input_spec, pictures.output_spec, pictures.output_spec)
        tiles = [_picture(image, spec) for image, spec in zip((given, output, target), specs, strict=True)]
        labels = [f"{name} ({side})" for side in ("input", "output", "target")]
        rows.append([_admitted(tile, label, refused) for tile, label in zip(tiles, labels, strict=True)])
    grid = make_grid(rows, captions=("input", "output", "target"))
    note = "The middle column was made by a model."
    label = SyntheticLabel(software=f"ganvas {version('ganvas')}", model=type(method).__name__, note=note)
    write_image(path, Picture(grid), synthetic=label)
    return refused


def _picture(image: Tensor, spec: PictureSpec) -> Picture:
    """(1, C, H, W) in [-1, 1] -> a picture of the run's own type."""
    return Picture(from_signed(image[0].permute(1, 2, 0).cpu().numpy(), spec))


def _admitted(tile: Picture, label: str, refused: list[str]) -> Picture:
    """The tile, or a grey one where the gate says no."""
    try:
        policy.admit(tile, name=label)
    except PolicyRefusal as refusal:
        refused.append(str(refusal))
        return Picture(np.full((tile.height, tile.width, 3), GREY, dtype=np.uint8))
    return tile


def sample_path(run: Path, images_seen: int) -> Path:
    """Where the grid after so many images lies."""
    return run / "samples" / f"{images_seen:08d}.png"
