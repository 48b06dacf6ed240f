"""Training throughput while other programs are busy: one thread, all threads, and the automatic choice of threads.

    python benchmarks/threads.py --out threads.json
    python benchmarks/threads.py --seconds 8 --rounds 1 --waiting default passive 1000

pix2pix on 128-pixel pictures (width 32, batch 1, float32), as `ganvas.train` runs it, for some seconds beside 0, 1
and 2 busy programs, which are spinning Python processes. Every round runs all settings, each in its own process.
`--waiting` adds rows with other waiting policies of the OpenMP threads. Takes about 12 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure.child import child_environment
from measure.machine import describe
from measure.table import Row, Table, markdown

from ganvas.data.config import PairedData
from ganvas.hardware.threads import SPINS, WAIT_VARIABLES
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.methods import Pix2PixConfig
from ganvas.training.config import RunConfig, TrainingConfig

SIDE, PAIRS = 128, 8
LOADS = (0, 1, 2)
NEVER = 10**9


def main() -> None:
    given = _arguments()
    if given.child:
        print(json.dumps(train_for_a_while(json.loads(given.child))))
        return
    all_threads = os.cpu_count() or 1
    named = {f"{count} thread{'s' * (count > 1)}": count for count in sorted({1, all_threads})} | {"automatic": None}
    settings = {name: count for name, count in named.items() if given.settings is None or name in given.settings}
    counts: dict[tuple[str, str, int], list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = write_pairs(Path(folder) / "data")
        for _ in range(given.rounds):
            for load in given.loads:
                for waiting in given.waiting:
                    for name, threads in settings.items():
                        order = {"data": str(data), "threads": threads, "seconds": given.seconds}
                        images = _measure(order, waiting, load, Path(folder))
                        counts.setdefault((name, waiting, load), []).append(images)
                        print(f"{name}, {waiting}, beside {load}: {images}", file=sys.stderr)
    table = as_table(counts, given)
    print(markdown([table]))
    if given.out:
        given.out.write_text(json.dumps({"machine": describe(), **table.as_record()}, indent=2), encoding="utf-8")


def write_pairs(folder: Path) -> Path:
    """Write pairs of smooth spots and their negatives."""
    rng = np.random.default_rng(0)
    for index in range(PAIRS):
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((SIDE // 8, SIDE // 8, 1), np.uint8))
        for side, picture in (("a", pixels), ("b", 255 - pixels)):
            write_image(folder / "train" / side / f"{index}.png", Picture(picture))
    return folder


def train_for_a_while(order: dict[str, Any]) -> dict[str, Any]:
    """Train in this process; return the number of images seen."""
    from ganvas.training.loop import train

    data = PairedData(folder=Path(order["data"]), load_size=(SIDE, SIDE), crop_size=(SIDE, SIDE))
    training = TrainingConfig(
        epochs=1e6, minutes=order["seconds"] / 60, threads=order["threads"], device="cpu", checkpoint_every=NEVER,
        validate_every=NEVER, sample_every=NEVER,
    )  # fmt: skip
    method = Pix2PixConfig(width=32, discriminator_width=32)
    with tempfile.TemporaryDirectory() as folder:
        result = train(RunConfig(method=method, data=data, training=training), Path(folder) / "run", quiet=True)
    return {"images": result.images_seen}


def _measure(order: dict[str, Any], waiting: str, load: int, folder: Path) -> int:
    environment = {name: value for name, value in child_environment().items() if name not in WAIT_VARIABLES}
    environment |= waiting_variables(waiting) | {"GANVAS_CACHE": str(folder / "cache")}
    command = [sys.executable, __file__, "--child", json.dumps(order)]
    with busy_programs(load):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    images: int = json.loads(done.stdout.splitlines()[-1])["images"]
    return images


def waiting_variables(waiting: str) -> dict[str, str]:
    """Return the environment variables of a waiting policy: `ganvas` those of the command line, `default` none."""
    if waiting == "default":
        return {}
    if waiting == "passive":
        return {"OMP_WAIT_POLICY": "passive"}
    return {"GOMP_SPINCOUNT": SPINS if waiting == "ganvas" else waiting}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Run spinning processes during the block."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def as_table(counts: dict[tuple[str, str, int], list[int]], given: argparse.Namespace) -> Table:
    """Return a row per setting: median number of images over the rounds, and its share of the best row's."""
    rows: list[Row] = []
    best = {load: max(median(seen) for (_, _, other), seen in counts.items() if other == load) for load in given.loads}
    for name, waiting in dict.fromkeys((name, waiting) for name, waiting, _ in counts):
        row: dict[str, str | float] = {"threads": name, "waiting": waiting}
        for load in given.loads:
            seen = counts[name, waiting, load]
            row[f"beside {load}"] = f"{median(seen):.0f} ({min(seen)}-{max(seen)})"
            row[f"of the best, {load}"] = median(seen) / best[load]
        rows.append(row)
    note = f"Images in {given.seconds:g} s, median (range) of {given.rounds} rounds."
    return Table("Threads beside busy programs", rows, [note])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of each training run in seconds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--loads", type=int, nargs="+", default=list(LOADS), help="numbers of busy programs")
    parser.add_argument(
        "--waiting", nargs="+", default=["ganvas"], help="waiting policies: ganvas, default, passive, or a spin count"
    )
    parser.add_argument("--settings", nargs="+", help="settings to measure: '1 thread', 'N threads', automatic")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
