"""Part `data`: pairs per second, from files to batches in [-1, 1], with the loader of each side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import TrainLoader
from ganvas.training.performance import memory_kept
from measure.machine import device, finish
from measure.options import Options
from measure.pictures import Pictures
from measure.table import Row, Table
from measure.timing import Timing, Work, in_turn, ratio, timer

NOTES = (
    "Resized to 286, cropped to 256, mirrored; epochs of both alternate. Ours reads from the cache, which is built "
    "once for all runs on the same pictures. The reference uses its DataLoader with {workers} workers, whose startup "
    "in each epoch is included, as in its training.",
    "`seconds`: with the content gate and no score known. The cache pays off after the epoch from which on this time "
    "and our epochs together are shorter than the reference's epochs, for loading alone, at batch 1.",
)


def measure_pipeline(options: Options) -> list[Table]:
    """Measure rates for both kinds of file and two batch sizes, and the cost of building the cache."""
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 4)
    rates, costs = Table("Data pipeline"), Table("Building the cache")
    rates.notes.append(NOTES[0].format(workers=workers))
    costs.notes.append(NOTES[1])
    for name, folder in sources(options).items():
        try:
            cost, made = _build(folder, options.pictures.work / "pictures")
            costs.rows.append({"files": name, **cost})
            for batch in (1, 8):
                made_rows = _rates(folder, batch, workers, options)
                rates.rows += [{"files": name, "batch": batch, **row} for row in made_rows]
                if batch == 1 and options.reference:
                    costs.rows[-1] = {**costs.rows[-1], "pays after epochs": pays_after(made, made_rows, cost)}
        except (RuntimeError, ValueError, OSError) as error:
            rates.fail(name, error)
    return [rates, costs]


def prepare(given: dict[str, Any]) -> Callable[[], Work]:
    """Return an epoch of our loader as a workload for `measure.worker`; the work names the batch size."""
    folder, batch = Path(given["folder"]), int(given["work"].rpartition(" ")[2])
    pictures = Pictures(Path(given["data"]) if given["data"] else None, folder)
    return lambda: _our_epoch(pictures.facades(), batch, folder / "cache")


def sources(options: Options) -> dict[str, Path]:
    """Return the sources."""
    large = options.of(96, 32)
    return {
        f"512x256 ({options.pictures.origin})": options.pictures.facades(),
        f"JPEG of 2048x1024, {large} pairs": options.pictures.large_facades(large),
    }


def pays_after(pairs: int, rows: list[Row], cost: Row) -> float:
    """Return the number of epochs after which building the cache has paid off, at batch 1; ours is the first row."""
    ours, theirs = (float(row["pairs/s"] or 0) for row in rows)
    return float(cost["seconds"] or 0) / (pairs / theirs - pairs / ours)


def config_of(folder: Path) -> PairedData:
    """Return the config of facades as trained by both sides."""
    return PairedData(folder=folder, layout="side_by_side", direction="b_to_a")


def _build(folder: Path, home: Path) -> tuple[Row, int]:
    """Return the seconds to build the cache without and with cached scores, and the number of pairs."""
    seconds = []
    for _ in range(2):
        shutil.rmtree(home, ignore_errors=True)
        start = time.perf_counter()
        cache = build_cache(config_of(folder), "train", home)
        seconds.append(time.perf_counter() - start)
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    row: Row = {"pairs": len(cache), "seconds": seconds[0], "scores known": seconds[1], "MB on disk": size / 1e6}
    return row, len(cache)


def _rates(folder: Path, batch: int, workers: int, options: Options) -> list[Row]:
    epochs = {"ganvas": _our_epoch(folder, batch, options.pictures.work / "pictures")}
    if options.reference:
        epochs["reference"] = _reference_epoch(folder, batch, workers, options)
    pairs = len(build_cache(config_of(folder), "train", options.pictures.work / "pictures"))
    timers = {name: timer(epoch, finish) for name, epoch in epochs.items()}
    with memory_kept():  # as in training; the reference's workers are processes of their own
        timings = in_turn(timers, rounds=options.of(5, 3), budget=options.of(60, 20), least_seconds=0.5)
    return [_row(name, pairs, timings) for name in epochs]


def _row(name: str, pairs: int, timings: dict[str, Timing]) -> Row:
    timing = timings[name]
    return {
        "variant": name,
        "pairs/s": pairs / timing.median,
        "slowest-fastest": f"{pairs / max(timing.seconds):,.0f}-{pairs / min(timing.seconds):,.0f}",
        "x reference": ratio(timings["reference"], timing) if "reference" in timings else None,
    }


def _our_epoch(folder: Path, batch: int, home: Path) -> Callable[[], object]:
    config = config_of(folder)
    loader = TrainLoader(build_cache(config, "train", home), config, batch_size=batch, seed=0, device=device())
    seen = 0

    def epoch() -> None:
        nonlocal seen
        for _ in range(loader.epoch_size // batch):
            loader.batch(seen)
            seen += batch

    return epoch


def _reference_epoch(folder: Path, batch: int, workers: int, options: Options) -> Callable[[], object]:
    assert options.reference is not None
    work = options.pictures.work
    words = ["--dataroot", folder, "--checkpoints_dir", work, "--name", "data", "--model", "pix2pix"]
    numbers = ["--batch_size", batch, "--num_threads", workers, "--direction", "BtoA"]
    chosen = options.reference.options([*map(str, [*words, *numbers])], training=True, device=device())
    loader = options.reference.loader(chosen)

    def epoch() -> None:
        for pair in loader:
            pair["A"].to(device()), pair["B"].to(device())

    return epoch
