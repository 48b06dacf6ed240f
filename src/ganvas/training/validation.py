"""Validation during training: metrics on held-out pictures, and preview grids.

Pairs have targets. Unpaired pictures have none, so only cycle consistency is measured: how much of a picture remains
after a translation to the other side and back. A method can score well with translations that do not resemble the other
side, so this never selects the best snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate import AdmittedPicture, admit, as_sheet, write_synthetic
from ganvas.errors import PolicyRefusal
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec, make_grid
from ganvas.image.ranges import unit_from_signed
from ganvas.inference.adapt import picture_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.methods.base import Method
from ganvas.methods.config import OPPOSITE, Direction, Domain
from ganvas.metrics.fidelity import SSIM_WINDOW, l1, psnr, ssim
from ganvas.networks.generators import middle
from ganvas.training.dataset import Dataset, Named, Pair

THUMBNAIL = 8
"""Side in pixels of the thumbnails with which outputs are compared."""
MIN_PICTURES = 4
"""Smallest number of pictures for which the spread is measured."""


def validate(method: Method, dataset: Dataset, limit: int) -> dict[str, float]:
    """Return metrics on at most `limit` pictures of the validation split; empty if there is none.

    Returns:
        The metrics of `measure_pairs` for pairs, else those of `measure_sides`.
    """
    if dataset.validation is None:
        return {}
    if dataset.paired:
        return measure_pairs(method, dataset.pairs(dataset.validation, limit))
    return measure_sides(method, *dataset.sides(dataset.validation, limit))


def measure_pairs(method: Method, pairs: Iterable[Pair]) -> dict[str, float]:
    """Return the mean metrics of pairs; one picture is translated at a time.

    Returns:
        psnr (dB), ssim and l1 (of unit range), and spread: the variation of the outputs as a share of the variation of
        the targets; near 0 the method returns the same picture for every input. Without spread below `MIN_PICTURES`
        pairs; empty without pairs.
    """
    rows, outputs, targets = [], [], []
    for _, image, target in pairs:
        output = unit_from_signed(translate_padded(method, image).float().clamp(-1, 1))
        target = unit_from_signed(target)
        rows.append(_measures(output, target))
        outputs.append(_thumbnail(output))
        targets.append(_thumbnail(target))
    return _means(rows) | _spread(outputs, targets)


def measure_sides(method: Method, a: Iterable[Named], b: Iterable[Named]) -> dict[str, float]:
    """Return the mean metrics of unpaired pictures; one picture is translated at a time.

    Returns:
        cycle_a_psnr (dB), cycle_a_ssim and cycle_a_l1 (of unit range): pictures of side a after translation to b and
        back, compared with themselves; cycle_b_... likewise; missing for a method of one direction. And spread: the
        variation of the outputs as a share of the variation of real pictures of their side, the smaller of both
        directions.
    """
    from_a, from_b = _translate_side(method, a, "a_to_b"), _translate_side(method, b, "b_to_a")
    means = _prefixed("cycle_a", _means(from_a.cycles)) | _prefixed("cycle_b", _means(from_b.cycles))
    spreads = [*_spread(from_a.outputs, from_b.real).values(), *_spread(from_b.outputs, from_a.real).values()]
    return means | ({"spread": min(spreads)} if spreads else {})


@dataclass(frozen=True)
class _Side:
    """Thumbnails of the pictures of one side and of their translations, and the cycle metrics."""

    real: list[Tensor]
    outputs: list[Tensor]
    cycles: list[dict[str, float]]


def _translate_side(method: Method, pictures: Iterable[Named], direction: Direction) -> _Side:
    side = _Side([], [], [])
    for _, picture in pictures:
        real = unit_from_signed(picture)
        side.real.append(_thumbnail(real))
        if direction not in method.directions:
            continue
        output = translate_padded(method, picture, direction=direction).float().clamp(-1, 1)
        side.outputs.append(_thumbnail(unit_from_signed(output)))
        if OPPOSITE[direction] in method.directions:
            again = translate_padded(method, output, direction=OPPOSITE[direction]).float().clamp(-1, 1)
            side.cycles.append(_measures(unit_from_signed(again), real))
    return side


def _measures(output: Tensor, target: Tensor) -> dict[str, float]:
    """Return the metrics of one picture; SSIM only if its window fits."""
    found = {"psnr": min(psnr(output, target).item(), 100.0), "l1": l1(output, target).item()}
    if min(output.shape[-2:]) >= SSIM_WINDOW:
        found["ssim"] = ssim(output, target).item()
    return found


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the pictures that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: fmean(row[name] for row in rows if name in row) for name in names}


def _prefixed(prefix: str, measures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in measures.items()}


def _thumbnail(images: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(images, THUMBNAIL)


def _spread(outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, float]:
    """Return the deviation of output thumbnails as a share of that of targets; empty below `MIN_PICTURES` of either."""
    if min(len(outputs), len(targets)) < MIN_PICTURES:
        return {}
    return {"spread": _deviation(torch.cat([*outputs])) / max(_deviation(torch.cat([*targets])), 1e-6)}


def _deviation(thumbnails: Tensor) -> float:
    """Return the root-mean-square distance from the mean picture."""
    return (thumbnails - thumbnails.mean(dim=0)).square().mean().sqrt().item()


NUM_SHOWN = 4
SAMPLED_ROWS = 2
"""Number of rows of sampled pictures for each side that a method samples."""
PAIRED = ("input", "output", "target")
UNPAIRED = ("input", "output", "back")
GRAY = 128


def write_preview(path: Path, method: Method, dataset: Dataset) -> list[str]:
    """Write a preview grid of a few pictures and their translations.

    Rows of pairs show input, output and target; rows of unpaired pictures the input, its translation, and the
    translation back. Methods that sample add rows of pictures from noise; if they sample both sides, pictures one above
    the other correspond. Every tile passes the content gate; refused tiles are gray.

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
    columns = "The middle column was" if dataset.paired else "All columns except the first were"
    note = f"{columns} generated by a model.{' So were the sampled rows.' if draws else ''}"
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
            yield _Row(
                name,
                "",
                [
                    picture_from_signed(shown, spec_a),
                    picture_from_signed(output, spec_b),
                    picture_from_signed(target, spec_b),
                ],
                PAIRED,
            )
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
        tiles = [picture_from_signed(image, own), picture_from_signed(output, other)]
        if OPPOSITE[direction] in method.directions:
            tiles.append(picture_from_signed(_translated(method, output, OPPOSITE[direction]), own))
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
            tiles = [picture_from_signed(images[place, None].float().clamp(-1, 1), specs[side]) for place in places]
            yield _Row(f"drawn {side}", f"drawn {side}", tiles, [str(place + 1) for place in places])


def _translated(method: Method, image: Tensor, direction: Direction) -> Tensor:
    return translate_padded(method, image, direction=direction).float().clamp(-1, 1)


def _admitted(tile: Picture, label: str, refused: list[str]) -> AdmittedPicture | Picture:
    """Return the admitted tile, or a gray one if the gate refuses it."""
    try:
        return admit(tile, name=label)
    except PolicyRefusal as refusal:
        refused.append(str(refusal))
        return Picture(np.full((tile.height, tile.width, 3), GRAY, dtype=np.uint8))


def _shown(cell: AdmittedPicture | Picture) -> Picture:
    return cell.picture if isinstance(cell, AdmittedPicture) else cell
