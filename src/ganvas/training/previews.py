"""Preview grids: translations of the same few pictures in the course of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate import AdmittedPicture, admit, as_sheet, write_synthetic
from ganvas.errors import PolicyRefusal
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec, make_grid
from ganvas.image.ranges import from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.methods.base import Method
from ganvas.methods.config import OPPOSITE, Direction, Domain
from ganvas.networks.generators import middle
from ganvas.training.dataset import Dataset, Named

NUM_SHOWN = 4
SAMPLED_ROWS = 2
"""Rows of sampled pictures for each side that a method samples."""
PAIRED = ("input", "output", "target")
UNPAIRED = ("input", "output", "back")
GRAY = 128


def write_preview(path: Path, method: Method, dataset: Dataset) -> list[str]:
    """Write a preview grid of a few pictures and their translations.

    Rows of pairs show input, output and target; rows of unpaired pictures the input, its translation, and the
    translation back. Methods that sample add rows of pictures from noise; where they sample both sides, pictures one
    above the other correspond. Every tile passes the content gate; a refused one is shown gray.

    Returns:
        One sentence for each refused tile.
    """
    rows, draws = list(_rows(method, dataset)), bool(method.samples)
    rows += _sampled_rows(method, dataset)
    captions = PAIRED if dataset.paired else UNPAIRED
    refused: list[str] = []
    cells = [
        [_admitted(tile, f"{row.name} ({side})", refused) for tile, side in zip(row.tiles, row.sides, strict=False)]
        for row in rows
    ]
    labels = None if dataset.paired and not draws else [row.label for row in rows]
    grid = make_grid([[_shown(cell) for cell in row] for row in cells], captions=captions, row_labels=labels)
    columns = "The middle column was" if dataset.paired else "All columns but the first were"
    note = f"{columns} made by a model.{' So were the rows drawn.' if draws else ''}"
    label = SyntheticLabel(software=f"ganvas {version('ganvas')}", model=type(method).__name__, note=note)
    if shown := [cell for row in cells for cell in row if isinstance(cell, AdmittedPicture)]:
        write_synthetic(path, as_sheet(Picture(grid), shown, name=path.name), label)
    return refused


@dataclass(frozen=True)
class _Row:
    """Tiles of one pair, of one picture of side a or b, or of sampled pictures."""

    name: str
    label: str
    tiles: list[Picture]
    sides: Sequence[str]


def _rows(method: Method, dataset: Dataset) -> Iterator[_Row]:
    spec_a, spec_b = dataset.input_spec, dataset.output_spec
    if dataset.paired:
        for name, image, target in dataset.pairs(dataset.shown, NUM_SHOWN):
            output = _translated(method, image, "a_to_b")
            shown = middle(image, spec_a.channels)
            shown = functional.interpolate(shown, target.shape[-2:]) if method.scale > 1 else shown
            yield _Row(name, "", [_picture(shown, spec_a), _picture(output, spec_b), _picture(target, spec_b)], PAIRED)
        return
    a, b = dataset.sides(dataset.shown, NUM_SHOWN // 2)
    yield from _side_rows(method, a, "a_to_b", spec_a, spec_b)
    yield from _side_rows(method, b, "b_to_a", spec_b, spec_a)


def _side_rows(
    method: Method, pictures: Iterator[Named], direction: Direction, own: PictureSpec, other: PictureSpec
) -> Iterator[_Row]:
    """Yield rows of a real picture, its translation, and the translation back if the method has that direction."""
    if direction not in method.directions:
        return
    for name, image in pictures:
        output = _translated(method, image, direction)
        tiles = [_picture(image, own), _picture(output, other)]
        if OPPOSITE[direction] in method.directions:
            tiles.append(_picture(_translated(method, output, OPPOSITE[direction]), own))
        yield _Row(name, direction.replace("_", " "), tiles, UNPAIRED)


def _sampled_rows(method: Method, dataset: Dataset) -> Iterator[_Row]:
    """Yield rows of sampled pictures, with as many columns as the rows above."""
    if not method.samples:
        return
    specs: dict[Domain, PictureSpec] = {"a": dataset.input_spec, "b": dataset.output_spec}
    drawn = method.sample(SAMPLED_ROWS * len(UNPAIRED))
    for row in range(SAMPLED_ROWS):
        places = range(row * len(UNPAIRED), (row + 1) * len(UNPAIRED))
        for side, images in zip(method.samples, drawn, strict=True):
            tiles = [_picture(images[place, None].float().clamp(-1, 1), specs[side]) for place in places]
            yield _Row(f"drawn {side}", f"drawn {side}", tiles, [str(place + 1) for place in places])


def _translated(method: Method, image: Tensor, direction: Direction) -> Tensor:
    return translate_padded(method, image, direction=direction).float().clamp(-1, 1)


def _picture(image: Tensor, spec: PictureSpec) -> Picture:
    """Convert (1, C, H, W) in [-1, 1] to a picture of the type of the run."""
    return Picture(from_signed(image[0].permute(1, 2, 0).cpu().numpy(), spec))


def _admitted(tile: Picture, label: str, refused: list[str]) -> AdmittedPicture | Picture:
    """Return the admitted tile, or a gray one where the gate refuses it."""
    try:
        return admit(tile, name=label)
    except PolicyRefusal as refusal:
        refused.append(str(refusal))
        return Picture(np.full((tile.height, tile.width, 3), GRAY, dtype=np.uint8))


def _shown(cell: AdmittedPicture | Picture) -> Picture:
    return cell.picture if isinstance(cell, AdmittedPicture) else cell
