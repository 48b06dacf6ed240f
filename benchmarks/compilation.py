"""Start-up cost of `--compile`, and the time that it saves in each step.

    python benchmarks/compilation.py --out compilation.json
    python benchmarks/compilation.py --only "pix2pix 256, batch 1" --steps 20

Each variant is trained in a separate process: the first step, which compiles, then further steps. The last column is
the number of steps after which compilation has paid off; "never" if a compiled step is not faster. Compiled code that
an earlier run left on the disk is not used. Takes about 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measure.machine import describe, device, finish
from measure.table import Row, Table, markdown

from ganvas.data.loader import Batch
from ganvas.methods import CycleGANConfig, MethodConfig, Pix2PixConfig
from ganvas.methods.base import Progress, build
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.performance import memory_kept, place
from ganvas.training.step import make_optimizers, take_turns

SIDE, WARM_UP = 256, 4
WORKS: dict[str, tuple[MethodConfig, int]] = {
    "pix2pix 256, batch 1": (Pix2PixConfig(), 1),
    "CycleGAN 256, batch 1": (CycleGANConfig(), 1),
}
PRECISIONS = ("float32", "bfloat16")


def main() -> int:
    """Measure every workload in every precision, print a table, and write the JSON."""
    given = parse()
    if given.child:
        print(json.dumps(train_child(json.loads(given.child))))
        return 0
    table = Table("Training steps with and without compilation")
    for work in given.only:
        for precision in PRECISIONS:
            try:
                table.rows.append(row(work, precision, given.steps))
            except ValueError as error:
                table.fail(f"{work}, {precision}", error)
    print(markdown([table]))
    if given.out:
        record = {"machine": describe(), "tables": [table.as_record()]}
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if table.failures else 0


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7, help="number of timed steps, after the untimed ones")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def row(work: str, precision: str, steps: int) -> Row:
    """Measure with and without compilation, one after the other."""
    words = {"work": work, "precision": precision, "steps": steps}
    plain, compiled = (run_child(words | {"compile": chosen}) for chosen in (False, True))
    start, gain = compiled["first"] - plain["first"], plain["step"] - compiled["step"]
    return {
        "work": work,
        "precision": precision,
        "s a step": plain["step"],
        "compiled": compiled["step"],
        "times as fast": plain["step"] / compiled["step"],
        "start costs s": start,
        "pays after steps": f"{start / gain:,.0f}" if gain > 0 else "never",
    }


def run_child(words: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of the first step and of a later one, in a separate process without cached code."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
        command = [sys.executable, __file__, "--child", json.dumps(words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip()[-500:])
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def train_child(given: dict[str, Any]) -> dict[str, float]:
    """Run the steps on noise."""
    config, batch_size = WORKS[given["work"]]
    settings = TrainingConfig(batch_size=batch_size, precision=given["precision"], compile=given["compile"])
    processes = Processes(device())
    torch.manual_seed(0)
    method = build(config, input_channels=3, output_channels=3, image_size=(SIDE, SIDE))
    batch = Batch(*(torch.rand(2, batch_size, 3, SIDE, SIDE, device=processes.device) * 2 - 1))
    begun = time.perf_counter()
    place(method, processes.device, settings)
    optimizers = make_optimizers(method, settings)

    def step(begun: float) -> float:
        take_turns(method, optimizers, batch, Progress(0, 0), settings=settings, processes=processes)
        finish()
        return time.perf_counter() - begun

    with memory_kept():
        first = step(begun)
        seconds = [step(time.perf_counter()) for _ in range(WARM_UP + given["steps"])]
    return {"first": first, "step": median(seconds[WARM_UP:])}


if __name__ == "__main__":
    sys.exit(main())
