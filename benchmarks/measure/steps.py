"""Part `step`: training steps, ours and the reference's, in turn."""

from __future__ import annotations

from measure.machine import device, matmul_peak, measured_precisions
from measure.operations import share_of_peak
from measure.options import Options
from measure.table import Row, Table
from measure.timing import Timing, in_turn, ratio
from measure.training import REFERENCE, TRAININGS, precision_of
from measure.workers import Team, team

NOTE = (
    "A step is everything between two batches: forward, backward and update of every player, on pictures in device "
    "memory. Each variant runs in a separate process; after three untimed steps, rounds alternate between the "
    "variants; the ratio is the median over rounds. Memory: the peak of that process over the first two steps, above "
    "that before the networks were created. The share is of the measured peak of matrix products of the same type: {}."
)

WARM_UP = 3
"""Warm-up steps after the two for the memory measurement: memory use is stable after about four steps."""


def measure_steps(options: Options) -> list[Table]:
    """Return a row for each variant of each training."""
    table = Table("Training step")
    peaks = {precision: matmul_peak(precision) for precision in measured_precisions(table)}
    rates = ", ".join(f"{name} {peak / 1e12:.3g} TFLOP/s" for name, peak in peaks.items())
    table.notes.insert(0, NOTE.format(rates))
    for work in (name for name in TRAININGS if options.work in name):
        try:
            table.rows += _rows(work, options, peaks, table)
        except (RuntimeError, ValueError, LookupError, OSError) as error:
            table.fail(work, error)
    return [table]


def _rows(work: str, options: Options, peaks: dict[str, float], table: Table) -> list[Row]:
    variants = TRAININGS[work].variants(beside_reference=options.reference is not None)
    names = [name for name in variants if precision_of(name) in peaks]
    given = {name: options.for_worker("training", work=work, variant=name) for name in names}
    rounds = options.of(11 if work == "pix2pix 256, batch 1" else 5, 3)
    least = 0.5 if device().type == "cuda" else 0.0
    with team(work, given, table) as made:
        timers = {name: worker.seconds for name, worker in made.workers.items()}
        timings = in_turn(timers, rounds=rounds, budget=options.of(180, 30), least_seconds=least, warm_up=WARM_UP)
        return [_row(work, name, timings, made, peaks) for name in timings]


def _row(work: str, name: str, timings: dict[str, Timing], made: Team, peaks: dict[str, float]) -> Row:
    timing, batch, operations = timings[name], TRAININGS[work].batch, made.count(name)
    return {
        "work": work,
        "variant": name,
        "images/s": batch / timing.median,
        "s a step": timing.median,
        "fastest-slowest": timing.spread,
        "x reference": ratio(timings[REFERENCE], timing) if REFERENCE in timings else None,
        "peak MB": made.peaks[name] / 1e6,
        "GFLOP a step": operations / 1e9,
        "% of peak": share_of_peak(operations, timing.median, peaks[precision_of(name)]),
        "rounds": len(timing.seconds),
    }
