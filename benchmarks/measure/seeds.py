"""Statistics of variants over several seeds: means with ranges, and the order of the variants by each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from measure.table import Cell, Row, Table


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Metric of a trained run.

    Attributes:
        name: its key.
        caption: caption in a table.
        larger_is_better: whether larger is better, as for PSNR.
    """

    name: str
    caption: str
    larger_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Results of one seed of a variant."""

    variant: str
    seed: int
    images: int
    figures: Mapping[str, float] = field(default_factory=dict)


def spread(values: Sequence[float]) -> str:
    """Return mean and range, or a single value."""
    mean = f"{fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4g} to {max(values):.4g})"


def seed_table(title: str, trials: Sequence[Trial], variants: Sequence[str], measures: Sequence[Measure]) -> Table:
    """Return a row for each variant with a trial, and the orders below."""
    rows: list[Row] = []
    for variant in variants:
        own = [trial for trial in trials if trial.variant == variant]
        if own:
            row: dict[str, Cell] = {"": variant, "seeds": len(own), "images": spread([one.images for one in own])}
            for measure in measures:
                if values := [one.figures[measure.name] for one in own if measure.name in one.figures]:
                    row[measure.caption] = spread(values)
            rows.append(row)
    return Table(title, rows, notes=list(orders(trials, variants, measures)))


def orders(trials: Sequence[Trial], variants: Sequence[str], measures: Sequence[Measure]) -> Iterator[str]:
    """Order the variants by the mean of each metric, best first, and count the seeds with the same order.

    Only seeds with all variants are counted.
    """
    for measure in measures:
        sign = -1 if measure.larger_is_better else 1
        by_seed: dict[int, dict[str, float]] = {}
        for trial in trials:
            if trial.variant in variants and measure.name in trial.figures:
                by_seed.setdefault(trial.seed, {})[trial.variant] = sign * trial.figures[measure.name]
        complete = [row for row in by_seed.values() if row.keys() == set(variants)]
        if not complete:
            continue
        order = sorted(variants, key=lambda variant: fmean(row[variant] for row in complete))
        same = sum(sorted(variants, key=row.__getitem__) == order for row in complete)
        yield f"{measure.caption}, best first: {'; '.join(order)} ({same} of {len(complete)} seeds have this order)."
