"""Speed of two versions of ganvas in alternating rounds: generators, training steps and the loader.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before --data DATA

For each row, one process per version does the same work in turn, so that other load affects both. The ratio is the
median over the rounds of (this version / the other one): below 1, this version is faster. Both checkouts need the
workers of `benchmarks/measure`; they share the installed packages.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from measure.child import ChildFailure
from measure.machine import describe
from measure.workers import Worker, started

HERE = Path(__file__).resolve().parents[1]
SECONDS = 0.8
"""Least duration of one measurement."""
ROWS = {
    ("networks", "U-Net 256, batch 1"): 9,
    ("networks", "ResNet 9 blocks, batch 1"): 5,
    ("networks", "SRResNet x4 of 64x64, batch 1"): 9,
    ("networks", "the demo's network, batch 1"): 15,
    ("training", "pix2pix 256, batch 1"): 9,
    ("training", "pix2pix 256, batch 8"): 5,
    ("training", "CycleGAN 256, batch 1"): 5,
    ("training", "SRGAN x4 to 96, batch 16"): 5,
    ("pipeline", "batch 1"): 15,
    ("pipeline", "batch 8"): 15,
}
"""Module of `measure` and its workload -> number of rounds."""


def main() -> int:
    """Measure the rows and print a Markdown table; return 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="checkout of the other version")
    parser.add_argument("--data", type=Path, help="folder that contains facades; unset: generated pictures")
    parser.add_argument("--work", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=0, help="rounds per row; 0: a number that suits the row")
    given = parser.parse_args()
    print(f"{describe()['device']}, {torch.get_num_threads()} threads\n")
    print("| work | other, s | this, s | ratio | lowest, highest |\n|---|---|---|---|---|")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for (module, work), rounds in ROWS.items():
            if given.work not in f"{module} {work}":
                continue
            try:
                row = compare(module, work, given.other.resolve(), given.data, Path(folder), given.rounds or rounds)
            except ChildFailure as failure:
                row, failed = f"| {module}: {work} | {failure} | | | |", True
            print(row, flush=True)
    return int(failed)


def compare(module: str, work: str, other: Path, data: Path | None, folder: Path, rounds: int) -> str:
    """Return one row of the table."""
    with ExitStack() as stack:
        workers = dict[str, Worker]()
        for name, checkout in (("other", other), ("this", HERE)):
            words = {
                "module": module, "work": work, "variant": "ganvas float32", "threads": torch.get_num_threads(),
                "reference": None, "data": data and str(data.resolve()), "folder": str(folder / name),
            }  # fmt: skip
            path = os.pathsep.join(str(checkout / part) for part in ("benchmarks", "src"))
            environment = {**os.environ, "PYTHONPATH": path}
            workers[name] = stack.enter_context(started(f"{name} {work}", words, environment=environment))
            workers[name].peak_bytes()  # waits until it is ready
        calls = max(1, round(SECONDS / min(worker.seconds(1) for worker in workers.values())))
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(rounds):
            for name in list(workers)[:: 1 if number % 2 else -1]:
                seconds[name].append(workers[name].seconds(calls))
    ratios = [this / before for this, before in zip(seconds["this"], seconds["other"], strict=True)]
    figures = [f"{median(seconds[name]):.4g}" for name in ("other", "this")]
    spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
    return f"| {module}: {work} | {' | '.join(figures)} | {median(ratios):.3f} | {spread} |"


if __name__ == "__main__":
    raise SystemExit(main())
