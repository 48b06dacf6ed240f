"""Validation metrics: fidelity to targets, cycle consistency, and spread of the outputs.

Pairs have targets to compare with. Unpaired pictures have none; for them only cycle consistency is measured: how much
of a picture is left after a translation to the other side and back. A method can score well on it with translations
that look nothing like the other side, so it never selects the best snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.image.ranges import unit_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.methods.base import Method
from ganvas.methods.config import OPPOSITE, Direction
from ganvas.metrics.fidelity import SSIM_WINDOW, l1, psnr, ssim
from ganvas.training.dataset import Dataset, Named, Pair

THUMBNAIL = 8
"""Side in pixels of the thumbnails in which outputs are compared with one another."""
MIN_PICTURES = 4
"""Smallest number of pictures whose spread is measured."""


def validate(method: Method, dataset: Dataset, limit: int) -> dict[str, float]:
    """Return metrics on at most `limit` pictures of the validation split; empty where there is none.

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
        the targets; near 0 the method gives the same picture for every input. Without spread below `MIN_PICTURES`
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
    """Return the metrics of one picture; SSIM only where its window fits."""
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
