"""Validation metrics: fidelity to targets, cycle consistency, and spread of the outputs.

Pairs have a target. Unpaired pictures have none, so there is no measure of how good a translation is; what can be
measured is how much of a picture comes back when it is translated there and back. A method can score well on that with
translations that look nothing like the other side, so it never chooses a snapshot.
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
"""Pixels a side of the coarse view in which outputs are compared with one another."""
ENOUGH = 4
"""Pictures."""


def validate(method: Method, dataset: Dataset, limit: int) -> dict[str, float]:
    """Return metrics on at most `limit` pictures of the validation split; empty where there is none.

    Returns:
        of pairs: what `measure_pairs` says; else what `measure_sides` says.
    """
    if dataset.validation is None:
        return {}
    if dataset.paired:
        return measure_pairs(method, dataset.pairs(dataset.validation, limit))
    return measure_sides(method, *dataset.sides(dataset.validation, limit))


def measure_pairs(method: Method, pairs: Iterable[Pair]) -> dict[str, float]:
    """Return means over the pairs, in evaluation mode, each picture alone.

    Returns:
        psnr (dB), ssim and l1 (of unit range), and spread: how much the outputs differ from one another, as a share
        of how much the targets do; near 0 the method gives the same picture for every input (left out below
        `ENOUGH` pairs). Empty without pairs.
    """
    rows, made, wanted = [], [], []
    for _, given, target in pairs:
        output = unit_from_signed(translate_padded(method, given).float().clamp(-1, 1))
        target = unit_from_signed(target)
        rows.append(_measures(output, target))
        made.append(_thumbnail(output))
        wanted.append(_thumbnail(target))
    return _means(rows) | _spread(made, wanted)


def measure_sides(method: Method, a: Iterable[Named], b: Iterable[Named]) -> dict[str, float]:
    """Return means over pictures without targets, in evaluation mode, each picture alone.

    Returns:
        cycle_a_psnr (dB), cycle_a_ssim and cycle_a_l1 (of unit range): pictures of side a, there and back, against
        themselves; cycle_b_... alike; left out for a method that does not go back. And spread: how much the outputs
        differ from one another, as a share of how much the pictures of their side do, in the direction where they
        do least.
    """
    there, back = _look(method, a, "a_to_b"), _look(method, b, "b_to_a")
    means = _named("cycle_a", _means(there.returned)) | _named("cycle_b", _means(back.returned))
    spreads = [*_spread(there.made, back.real).values(), *_spread(back.made, there.real).values()]
    return means | ({"spread": min(spreads)} if spreads else {})


@dataclass(frozen=True)
class _Looks:
    """Thumbnails of one side's pictures and of their translations, and the cycle metrics."""

    real: list[Tensor]
    made: list[Tensor]
    returned: list[dict[str, float]]


def _look(method: Method, pictures: Iterable[Named], direction: Direction) -> _Looks:
    looks = _Looks([], [], [])
    for _, picture in pictures:
        real = unit_from_signed(picture)
        looks.real.append(_thumbnail(real))
        if direction not in method.directions:
            continue
        output = translate_padded(method, picture, direction=direction).float().clamp(-1, 1)
        looks.made.append(_thumbnail(unit_from_signed(output)))
        if OPPOSITE[direction] in method.directions:
            again = translate_padded(method, output, direction=OPPOSITE[direction]).float().clamp(-1, 1)
            looks.returned.append(_measures(unit_from_signed(again), real))
    return looks


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


def _named(prefix: str, measures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in measures.items()}


def _thumbnail(images: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(images, THUMBNAIL)


def _spread(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> dict[str, float]:
    """Return the deviation of thumbnails as a share of that of the targets; empty below `ENOUGH` of either."""
    if min(len(made), len(wanted)) < ENOUGH:
        return {}
    return {"spread": _deviation(torch.cat([*made])) / max(_deviation(torch.cat([*wanted])), 1e-6)}


def _deviation(thumbnails: Tensor) -> float:
    """Return the root-mean-square distance from the mean picture."""
    return (thumbnails - thumbnails.mean(dim=0)).square().mean().sqrt().item()
