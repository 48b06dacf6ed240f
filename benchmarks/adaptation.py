"""Domain adaptation of a digit classifier between MNIST and USPS: CoGAN, UNIT, and training on the source only.

    python benchmarks/adaptation.py --data ../shared/data/digits --out adaptation.json --seeds 5 --threads 1

The protocol of the papers: the seed draws 2,000 MNIST and 1,800 USPS digits, only the labels of the source are used,
and the accuracy is measured on the remaining digits of the target. The labels of the target are not used for model
selection: each training run ends after a fixed number of steps. MNIST here means its 10,000 test digits (t10k).

The output file records finished training runs, which are not repeated; after an interruption, the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from measure.adapting import SETTINGS, Settings, accuracy, make_adapter, scaled, train
from measure.digits import Digits, draw, read_mnist, read_usps
from measure.table import Table, markdown

from ganvas.errors import GanvasError, InputError
from ganvas.filesystem.atomic import write_json
from ganvas.progress import progress_bars

NUM_DRAWN = {"MNIST": 2000, "USPS": 1800}
WAYS = (("MNIST", "USPS"), ("USPS", "MNIST"))
PUBLISHED = {
    ("cogan", "USPS"): ".912, Liu and Tuzel 2016, this protocol",
    ("cogan", "MNIST"): ".891, Liu and Tuzel 2016, this protocol",
    ("unit", "USPS"): ".9597, Liu et al. 2017, beside CoGAN's .9565",
    ("unit", "MNIST"): ".9358, Liu et al. 2017, beside CoGAN's .9315",
}
"""(method, target) -> accuracy and source."""
NOTES = (
    "Accuracy on the target's digits that were not drawn: mean and deviation over the seeds. `source` is CoGAN's "
    "classifier without CoGAN, `source_unit` UNIT's without UNIT. `best along the way` is chosen by the target's "
    "labels, as in UNIT's released code; it is not a result of a method without labels.",
    "From memory, not looked up: UNIT's figures, and that its paper has CoGAN at .9565 and .9315. CoGAN's released "
    "code names .95 and .93 for all digits of the training sets, 60,000 and 7,438, and .94 and .92 for 2,000 and "
    "1,800, both as the best of a training by the target's labels (USAGE_PYTORCH.md), so UNIT's are probably of all.",
)
LOOKED_AT_EVERY = 250
"""Number of steps between accuracy measurements, the best of which is recorded."""
COLUMNS = {"accuracy": "accuracy", "best along the way": "best_accuracy", "on those drawn": "accuracy_on_drawn"}
"""Heading -> key in the record of a training run."""
Record = dict[str, Any]


def run_one(
    name: str, way: tuple[str, str], seed: int, sets: dict[str, Digits], settings: Settings, drawn: dict[str, int]
) -> Record:
    """Train one classifier and measure it."""
    source, _ = draw(sets[way[0]], drawn[way[0]], seed=seed)
    target, rest = draw(sets[way[1]], drawn[way[1]], seed=seed)
    torch.manual_seed(seed)
    adapter, started, processor = make_adapter(name, settings), time.perf_counter(), time.process_time()
    along = []
    with progress_bars() as tell:
        for step in train(adapter, source, target.images):
            tell(f"{name}, {way[0]} to {way[1]}, seed {seed}: steps", step, settings.steps)
            if step % LOOKED_AT_EVERY == 0 or step == settings.steps:
                along.append(accuracy(adapter, rest, "b"))
    return {
        "method": name,
        "source": way[0],
        "target": way[1],
        "seed": seed,
        "accuracy": along[-1],
        "best_accuracy": max(along),
        "accuracy_on_drawn": accuracy(adapter, target, "b"),
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }


def read_runs(out: Path, settings: dict[str, Record], drawn: dict[str, int]) -> list[Record]:
    """Return the training runs that an earlier command recorded.

    Raises:
        InputError: the file contains runs with other settings, or is not a record of this benchmark.
    """
    if not out.exists():
        return []
    try:
        record = json.loads(out.read_text(encoding="utf-8"))
        runs, earlier = list(record["runs"]), dict(record["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out} is not a record of this benchmark ({error}); use another --out") from error
    same = all(earlier.get(name, made) == made for name, made in settings.items())
    if not same or record.get("drawn") != drawn:
        raise InputError(f"{out} contains runs with other settings; use another --out, or those settings")
    settings |= {name: made for name, made in earlier.items() if name not in settings}
    return runs


def pending(
    runs: Sequence[Record], methods: Sequence[str], targets: Sequence[str], seeds: int
) -> Iterator[tuple[str, tuple[str, str], int]]:
    """Return (method, (source, target), seed) of each missing training, seed by seed."""
    done = {(run["method"], run["source"], run["target"], run["seed"]) for run in runs}
    for seed in range(seeds):
        for way in (way for way in WAYS if way[1] in targets):
            yield from ((name, way, seed) for name in methods if (name, *way, seed) not in done)


def summarize(runs: Sequence[Record]) -> Table:
    """Return a row for each method and direction."""
    table = Table("Accuracy on digits without labels", notes=list(NOTES))
    for name in SETTINGS:
        for source, target in WAYS:
            found = [run for run in runs if (run["method"], run["target"]) == (name, target)]
            if not found:
                continue
            row = {"method": name, "from": source, "to": target, "seeds": len(found)}
            for column, key in COLUMNS.items():
                values = [run.get(key, math.nan) for run in found]
                row[column] = f"{fmean(values):.4f} ± {pstdev(values):.4f}"
            row["published"] = PUBLISHED.get((name, target), "")
            row["minutes of a core, each"] = round(fmean(run["processor_seconds"] for run in found) / 60, 2)
            table.rows.append(row)
    return table


def run_all(given: argparse.Namespace) -> Table:
    """Run the missing training runs, and write each result immediately."""
    chosen = {name: scaled(SETTINGS[name], width=given.width, steps=given.steps) for name in given.methods}
    settings = {name: asdict(made) for name, made in chosen.items()}
    drawn = dict(zip(NUM_DRAWN, given.drawn, strict=True))
    runs = read_runs(given.out, settings, drawn)
    sets = {"MNIST": read_mnist(given.data), "USPS": read_usps(given.data)}
    for name, way, seed in list(pending(runs, given.methods, given.targets, given.seeds)):
        run = run_one(name, way, seed, sets, chosen[name], drawn)
        runs.append(run)
        print(f"{name}, {way[0]} to {way[1]}, seed {seed}: {run['accuracy']:.4f} ({run['seconds']} s)", flush=True)
        table = summarize(runs)
        write_json(
            given.out,
            {"drawn": drawn, "settings": settings, "runs": runs, "table": table.as_record()},
        )
    return summarize(runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with MNIST's t10k files and usps_all.mat")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to which each result is appended")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--targets", nargs="+", choices=list(NUM_DRAWN), default=list(NUM_DRAWN), help="target domains")
    parser.add_argument("--drawn", type=int, nargs=2, default=list(NUM_DRAWN.values()), help="digits drawn from each")
    parser.add_argument("--width", type=int, default=None, help="width of the generators; unset: each method's own")
    parser.add_argument("--steps", type=int, default=None, help="training steps; unset: each method's own")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        print(markdown([run_all(given)]))
    except GanvasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
