"""Comparison of runtimes for translation: PyTorch (as prepared by the translator), ONNX Runtime and OpenVINO.

    python benchmarks/runtimes.py --work runs/runtimes --prepare
    python benchmarks/runtimes.py --work runs/runtimes --out runtimes.json

Each network translates several pictures at once, each on its share of the cores, as for a folder, but without files and
content gate. The rounds of the runtimes alternate. The main figure is processor time per picture, which depends little
on other programs; the speed is wall time. `--prepare` creates and exports the runs, which takes longer than the
measurement. docs/speed.md explains the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np
import torch
from measure.machine import describe
from measure.timing import Timing, in_turn, ratio

import ganvas
from ganvas.demonstration.run import demo_config
from ganvas.image.picture import PictureSpec
from ganvas.image.ranges import signed_from_unit
from ganvas.inference.config import Runtime
from ganvas.inference.frames import network_threads
from ganvas.inference.translator import Translator
from ganvas.interop.export.verification import natural_picture
from ganvas.methods import CycleGANConfig, MethodConfig, Pix2PixConfig, SRResNetConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

RUNTIMES: tuple[Runtime, ...] = tuple(name for name in get_args(Runtime) if name != "auto")
FIRST: Runtime = "torch"
"""Runtime with which the others are compared."""


@dataclass(frozen=True)
class Work:
    """Network and the side of its input pictures."""

    method: MethodConfig
    side: int = 256


WORKS = {
    "unet": Work(Pix2PixConfig(dropout=0.0)),
    "resnet": Work(CycleGANConfig()),
    "srresnet": Work(SRResNetConfig(), side=64),
    "demo": Work(demo_config(Path(), adversarial_weight=0.0).method),
}


def main() -> int:
    """Measure each network and print the table."""
    given = parse()
    given.work.mkdir(parents=True, exist_ok=True)
    os.environ["GANVAS_CACHE"] = str(given.work / "cache")
    rows = []
    for name in given.only:
        translators = {runtime: load(given.work / name, WORKS[name], runtime) for runtime in RUNTIMES}
        if not given.prepare:
            measured = measure(name, WORKS[name], translators, rounds=given.rounds, budget=given.budget)
            print(markdown(measured), flush=True)
            rows += measured
    if given.out:
        given.out.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs and their exports")
    parser.add_argument("--prepare", action="store_true", help="create and export the runs, without measuring")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS), help="networks to measure")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds per network")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser.parse_args()


def load(run: Path, work: Work, runtime: Runtime) -> Translator:
    """Load the run in a runtime; create it if it is missing."""
    if not (run / "run.json").exists():
        torch.manual_seed(0)
        size = (work.side, work.side)
        method = build(work.method, input_channels=3, output_channels=3, image_size=size).eval()
        with torch.no_grad():  # a residual generator starts as the identity
            for weights in (one for name in method.generators for one in getattr(method, name).parameters()):
                weights.add_(0.02 * torch.randn_like(weights))
        write_run_record(run, RunRecord(method=work.method, input=PictureSpec(), output=PictureSpec(), image_size=size))
        save_snapshot(snapshot_path(run, "last"), method, images_seen=1)
    return ganvas.load(run, device="cpu", runtime=runtime)


def measure(
    name: str, work: Work, translators: dict[Runtime, Translator], *, rounds: int, budget: float
) -> list[dict[str, Any]]:
    """Return a row for each runtime."""
    signed = signed_from_unit(natural_picture(3, work.side, work.side, np.random.default_rng(0)))
    outputs = {runtime: translator._network(signed) for runtime, translator in translators.items()}
    clocks: dict[Runtime, list[float]] = {runtime: [] for runtime in translators}
    timers = {runtime: timer(translator, signed, clocks[runtime]) for runtime, translator in translators.items()}
    timings = in_turn(timers, rounds=rounds, budget=budget, least_seconds=0.5, warm_up=1)
    return [row(name, runtime, timings, 1 / median(clocks[runtime]), outputs) for runtime in timings]


def timer(translator: Translator, signed: np.ndarray[Any, Any], clock: list[float]) -> Callable[[int], float]:
    """Return a timer of processor seconds per picture, with as many pictures at once as for a folder.

    `clock` receives the wall times.
    """

    def several(count: int) -> None:
        for _ in range(count):
            translator._network(signed)

    def timed(calls: int) -> float:
        with network_threads() as (pool, threads):
            start, spent = time.perf_counter(), time.process_time()
            for future in [pool.submit(several, calls) for _ in range(threads)]:
                future.result()
            clock.append((time.perf_counter() - start) / (calls * threads))
            return (time.process_time() - spent) / (calls * threads)

    return timed


def row(name: str, runtime: str, timings: dict[str, Timing], speed: float, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table."""
    timing = timings[runtime]
    return {
        "network": name,
        "runtime": runtime,
        "processor ms a picture": round(1000 * timing.median, 1),
        "fastest-slowest": f"{1000 * min(timing.seconds):.4g}-{1000 * max(timing.seconds):.4g}",
        "pictures/s": round(speed, 2),
        "x torch": round(ratio(timings[FIRST], timing), 2),
        "largest difference, levels": round(float(np.abs(outputs[runtime] - outputs[FIRST]).max()) * 127.5, 3),
        "rounds": len(timing.seconds),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Format the rows as a Markdown table."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(str(value) for value in one.values()) + " |" for one in rows)])


if __name__ == "__main__":
    sys.exit(main())
