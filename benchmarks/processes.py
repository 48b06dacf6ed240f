"""Speedup of training with several processes: the same step in one process and in N, which share the cores equally.

    python benchmarks/processes.py --out processes.json
    python benchmarks/processes.py --processes 2 --rounds 3 --only pix2pix

Every row is a step on the whole batch: by one process with one thread, by one process with N threads, and under
torchrun by N processes with one thread each. Rounds alternate between the rows, each in separate processes. On a
machine with GPUs each process has one GPU, and the row with N threads is left out. Takes about 25 minutes on two cores,
or 6 with --only pix2pix.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measure.machine import describe, device, finish
from measure.table import Row, Table, markdown
from measure.timing import Timing, ratio

from ganvas.data.loader import Batch
from ganvas.methods import CycleGANConfig, MethodConfig, Pix2PixConfig
from ganvas.methods.base import Progress, build
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes, join
from ganvas.training.performance import place
from ganvas.training.step import make_optimizers, take_turns

SIDE = 256
WORKS: dict[str, tuple[MethodConfig, int]] = {
    "pix2pix": (Pix2PixConfig(norm="instance", dropout=0.0), 8),
    "CycleGAN": (CycleGANConfig(), 2),
}
"""Method and batch size; the norms are per picture, so that N processes compute the same as one."""
PRECISIONS = ("float32", "bfloat16")
NOTES = (
    "Efficiency: images/s over N times those of one process with one thread; 1 is ideal. Exchange: the share of the "
    "step spent in averaging gradients, including the wait for the slowest process.",
    "N processes on one machine share its memory, caches and clock rate, and communicate through memory: this shows "
    "the cost of the exchange itself, not that of a network between machines.",
)


@dataclass(frozen=True)
class Team:
    """Processes and threads of a row."""

    processes: int
    threads: int

    @property
    def name(self) -> str:
        """Return the name in the table."""
        many, threads = "es" if self.processes > 1 else "", "s" if self.threads > 1 else ""
        return f"{self.processes} process{many}, {self.threads} thread{threads}{' each' if many else ''}"


def main() -> int:
    """Measure every workload in every precision, print a table, and write the JSON."""
    given = parse()
    if given.child:
        work_child(json.loads(given.child))
        return 0
    table = Table("Training step with several processes", notes=list(NOTES))
    for work in given.only:
        for precision in PRECISIONS:
            try:
                table.rows += rows(work, precision, given)
            except (OSError, ValueError, subprocess.CalledProcessError) as error:
                table.fail(f"{work}, {precision}", error)
    print(markdown([table]))
    if given.out:
        record = {"machine": describe(), "tables": [table.as_record()]}
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if table.failures else 0


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=max(2, torch.cuda.device_count()))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="timed steps per round, after two untimed ones")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def rows(work: str, precision: str, given: argparse.Namespace) -> list[Row]:
    """Return a row for each combination of processes and threads."""
    number, gpu = given.processes, device().type == "cuda"
    teams = [Team(1, 1), *([] if gpu else [Team(1, number)]), Team(number, 1)]
    found: dict[Team, list[dict[str, float]]] = {team: [] for team in teams}
    for _ in range(given.rounds):
        for team in teams:
            found[team].append(run_team(team, work, precision, given.steps))
    timings = {team: Timing(tuple(figures["seconds"] for figures in found[team])) for team in teams}
    return [_row(work, precision, team, timings, found[team]) for team in teams]


def _row(work: str, precision: str, team: Team, timings: dict[Team, Timing], found: list[dict[str, float]]) -> Row:
    times_one = ratio(timings[Team(1, 1)], timings[team])
    return {
        "work": f"{work} {SIDE}, batch {WORKS[work][1]}",
        "precision": precision,
        "who": team.name,
        "images/s": WORKS[work][1] / timings[team].median,
        "s a step": timings[team].median,
        "fastest-slowest": timings[team].spread,
        "x one process, one thread": times_one,
        "efficiency": times_one / (team.processes * team.threads),
        "exchange %": 100 * median(figures["exchange"] / figures["seconds"] for figures in found),
    }


def run_team(team: Team, work: str, precision: str, steps: int) -> dict[str, float]:
    """Return the seconds of a step and of the exchange within it, in separate processes."""
    words = {"work": work, "precision": precision, "threads": team.threads, "steps": steps}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(team.processes)]
    command = [sys.executable, *(torchrun if team.processes > 1 else []), __file__, "--child", json.dumps(words)]
    environment = os.environ | {"OMP_NUM_THREADS": str(team.threads), "MKL_NUM_THREADS": str(team.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip()[-500:])
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


@dataclass(frozen=True)
class TimedProcesses(Processes):
    """Processes that add up the seconds spent in the exchange."""

    def sum_gradients(self, parameters: Any) -> None:
        """Sum the gradients and measure the time, without that of earlier work on the GPU."""
        finish()
        begun = time.perf_counter()
        super().sum_gradients(parameters)
        finish()
        EXCHANGE.append(time.perf_counter() - begun)


EXCHANGE: list[float] = []


def work_child(given: dict[str, Any]) -> None:
    """Run the steps in one process of a team; the first process prints its figures."""
    torch.set_num_threads(given["threads"])
    config, batch_size = WORKS[given["work"]]
    settings = TrainingConfig(batch_size=batch_size, precision=given["precision"])
    with join("auto", batch_size=batch_size) as joined:
        processes = TimedProcesses(joined.device, joined.rank, joined.world)
        torch.manual_seed(0)
        method = build(config, input_channels=3, output_channels=3, image_size=(SIDE, SIDE))
        place(method, processes.device, settings)
        optimizers = make_optimizers(method, settings)
        a, b = torch.rand(2, batch_size // processes.world, 3, SIDE, SIDE, device=processes.device) * 2 - 1

        def step() -> float:
            begun = time.perf_counter()
            take_turns(method, optimizers, Batch(a, b), Progress(0, 0), settings=settings, processes=processes)
            finish()
            return time.perf_counter() - begun

        for _ in range(2):
            step()
        EXCHANGE.clear()
        seconds = median(step() for _ in range(given["steps"]))
        if processes.first:
            print(json.dumps({"seconds": seconds, "exchange": sum(EXCHANGE) / given["steps"]}))


if __name__ == "__main__":
    sys.exit(main())
