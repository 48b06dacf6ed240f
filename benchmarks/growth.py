"""Growth of time and memory with the size of the picture, the batch and the data set, for docs/experiments.md.

    python benchmarks/growth.py --out growth.json --figures docs/figures
    python benchmarks/growth.py --only data --quick

Every point is measured in a separate process. Takes about 25 minutes on two cores, or 3 with --quick. The pictures are
generated smooth color patterns. The largest data set has 100 of them under 100,000 names: each name is read, decoded
and passed to the content gate, whose score cache contains the 100 pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measure.child import ChildFailure, run_json
from measure.plot import Panel, write_panels
from measure.table import Row, Table, markdown

SIZES = (256, 512, 1024, 2048, 4096)
TILE = 512
BATCHES = (1, 2, 4, 8, 16)
ENTRIES = (10, 100, 1000, 10_000, 100_000)
DISTINCT = 100
SIDE = 32
"""Side in pixels of the pictures of the data sets."""
TILED_SIZES, SMALL_TILE, ROUNDS = (1024, 2048, 4096, 8192), 256, 3
"""Small tiles need little memory, so that growth with the picture size is visible."""
MODELS = ("U-Net without norm", "U-Net 256")
PRECISIONS = ("float32", "bfloat16")
PICTURE_NOTE = (
    "Includes the content gate. Peak memory above the loaded program and the input picture (3 bytes a pixel); the "
    "result, 3 bytes a pixel more, is included."
)


@dataclass(frozen=True)
class Plan:
    """Settings of the measurements.

    Attributes:
        work: a temporary folder.
        largest: how many of `SIZES`, `BATCHES` and `ENTRIES` to measure.
        figures: a folder for plots, or None.
    """

    work: Path
    threads: int
    largest: int
    figures: Path | None

    def point(self, name: str, **given: Any) -> dict[str, float]:
        """Return the figures of a child process."""
        found: dict[str, float] = run_json(
            "growth_child", {"point": name, "threads": self.threads, "folder": str(self.work), **given}
        )
        return found

    def draw(self, name: str, panels: Sequence[Panel]) -> None:
        """Write the plot if plots are requested."""
        if self.figures:
            write_panels(self.figures / f"growth-{name}.svg", panels)


def grow_picture(plan: Plan, table: Table) -> None:
    """Measure the translation of a square picture, whole and in tiles."""
    for model in MODELS:
        for tile in (None, TILE):
            label, last = f"{model}, {f'tiles of {tile}' if tile else 'whole'}", 0.0
            for size in SIZES[: plan.largest]:
                if 4 * last > free_bytes():
                    table.notes.append(f"{label}, {size} pixels: left out, it needs about {4 * last / 1e9:.0f} GB.")
                    break
                found = attempt(table, f"{label}, {size}", plan, "picture", model=model, size=size, tile=tile)
                last = found.get("peak MB", 0.0) * 1e6
                if found:
                    table.rows.append({"model": label, "pixels a side": size, **found})
    table.notes.append(PICTURE_NOTE)
    for label in dict.fromkeys(str(row["model"]) for row in table.rows):
        if "tiles" in label:
            slope = bytes_a_pixel([row for row in table.rows if row["model"] == label])
            table.notes.append(f"{label}: between the two largest the peak grows by {slope:.1f} bytes a pixel.")
    plan.draw("picture", panels_of(table.rows, "model", "pixels a side", ("seconds", "peak MB")))


def grow_tiled(plan: Plan, table: Table) -> None:
    """Measure the memory of blended tiles repeatedly, because the heap of the C library differs between runs."""
    for size in TILED_SIZES[: plan.largest]:
        given = {"model": MODELS[1], "size": size, "tile": SMALL_TILE}
        rounds = [attempt(table, f"{size} pixels", plan, "picture", **given) for _ in range(ROUNDS)]
        peaks = sorted(found["peak MB"] for found in rounds if found)
        if peaks:
            spread = f"{peaks[0]:.0f}-{peaks[-1]:.0f}"
            table.rows.append({"pixels a side": size, "peak MB": median(peaks), "lowest-highest": spread})
    if len(table.rows) > 1:
        slope = bytes_a_pixel([table.rows[0], table.rows[-1]])
        table.notes.append(f"From the smallest to the largest the peak grows by {slope:.1f} bytes a pixel.")
    table.notes.append(f"{MODELS[1]} in blended tiles of {SMALL_TILE}, {ROUNDS} processes a size. {PICTURE_NOTE}")


def grow_batch(plan: Plan, table: Table) -> None:
    """Measure a training step of pix2pix 256."""
    for precision in PRECISIONS:
        for batch in BATCHES[: plan.largest]:
            found = attempt(table, f"{precision}, batch {batch}", plan, "batch", precision=precision, batch=batch)
            if found:
                rate = {"images/s": batch / found["seconds"]}
                table.rows.append({"precision": precision, "batch": batch, **found, **rate})
    table.notes.append("pix2pix 256; peak above the program before its networks are made.")
    plan.draw("batch", panels_of(table.rows, "precision", "batch", ("seconds", "peak MB")))


def grow_data(plan: Plan, table: Table) -> None:
    """Measure a data set of small pictures: listing, cache, batches, and the memory of training on it."""
    for entries in ENTRIES[: plan.largest]:
        data = plan.work / f"data-{entries}"
        make_data(data / "train", entries)
        given = {"entries": entries, "data": str(data), "side": SIDE}
        if not table.rows:
            plan.point("data", **{**given, "data": str(score_first(plan))})
        if found := attempt(table, f"{entries} entries", plan, "data", **given):
            found |= attempt(table, f"training on {entries} entries", plan, "training", **given)
            table.rows.append({"entries": entries, **found})
    table.notes.append(
        f"{SIDE}x{SIDE} PNG, {DISTINCT} distinct ones under all names, so that the gate answers from its own cache of "
        "scores. Training: a tiny network, 2,000 pictures; memory above the program, mapped files left out."
    )
    times, memory = ("list s", "build s", "open s"), ("training peak MB", "training at the end MB")
    panels = [columns_panel(table.rows, times, "seconds"), columns_panel(table.rows, memory, "MB")]
    plan.draw("data", [*panels, columns_panel(table.rows, ("pictures/s",), "pictures/s")])


GROWTHS: dict[str, tuple[str, Callable[[Plan, Table], None]]] = {
    "picture": ("Growth with the picture size", grow_picture),
    "tiled": ("Growth of tiled translation", grow_tiled),
    "batch": ("Growth with the batch size", grow_batch),
    "data": ("Growth with the size of the data set", grow_data),
}


def attempt(table: Table, what: str, plan: Plan, point: str, **given: Any) -> dict[str, float]:
    """Return the figures of a point; if it fails, note it in the table and continue."""
    try:
        return plan.point(point, **given)
    except ChildFailure as failure:
        table.fail(what, failure)
        return {}


def score_first(plan: Plan) -> Path:
    """Read a data set of the distinct pictures, so that their scores are cached before the measurements."""
    folder = plan.work / "distinct-set"
    make_data(folder / "train", DISTINCT)
    return folder


def make_data(folder: Path, entries: int) -> None:
    """Create this many names for the distinct pictures, as links if the file system supports them."""
    from measure.pictures import pattern

    originals = folder.parent.parent / "originals"
    folder.mkdir(parents=True)
    if not originals.exists():
        originals.mkdir()
        for index in range(DISTINCT):
            pattern(SIDE, SIDE, seed=index).save(originals / f"{index}.png")
    for index in range(entries):
        os.link(originals / f"{index % DISTINCT}.png", folder / f"{index:06d}.png")


def free_bytes() -> float:
    """Return the memory available without swapping; infinite if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def bytes_a_pixel(rows: Sequence[Row]) -> float:
    """Return the growth of the peak per additional pixel between the last two rows, which have `pixels a side`."""
    if len(rows) < 2:
        return float("nan")
    pixels, peaks = zip(
        *((float(row["pixels a side"] or 0) ** 2, float(row["peak MB"] or 0)) for row in rows[-2:]), strict=True
    )
    return 1e6 * (peaks[1] - peaks[0]) / (pixels[1] - pixels[0])


def panels_of(rows: Sequence[Row], series: str, x: str, columns: Sequence[str]) -> list[Panel]:
    """Return a panel for each column, with a line for each value of `series`."""
    names = list(dict.fromkeys(str(row[series]) for row in rows))
    return [
        Panel(
            f"{column} against {x}", x, column,
            {name: [(number(row[x]), number(row[column])) for row in rows if row[series] == name] for name in names},
        )
        for column in columns
    ]  # fmt: skip


def columns_panel(rows: Sequence[Row], columns: Sequence[str], unit: str) -> Panel:
    """Return a panel with a line for each column over the entries."""
    lines = {
        column: [(number(row["entries"]), number(row[column])) for row in rows if number(row.get(column)) > 0]
        for column in columns
    }
    return Panel(f"{unit} against entries", "entries", unit, lines)


def number(value: object) -> float:
    """Return a cell as a number; 0 if it is missing."""
    return float(value) if isinstance(value, int | float) else 0.0


def main() -> int:
    """Run the measurements, print their tables, and write the JSON and the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--figures", type=Path, help="folder for growth-picture.svg, growth-batch.svg, growth-data.svg")
    parser.add_argument("--only", choices=GROWTHS, action="append", help="part to run; may be given more than once")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    parser.add_argument("--quick", action="store_true", help="leave out the two largest sizes of each part")
    given = parser.parse_args()
    from measure.machine import describe

    machine, tables = describe(), []
    threads = given.threads or machine["threads"]
    for name in given.only or GROWTHS:
        title, grow = GROWTHS[name]
        tables.append(Table(title))
        with tempfile.TemporaryDirectory() as folder:
            grow(Plan(Path(folder), threads, 3 if given.quick else 5, given.figures), tables[-1])
        print(markdown(tables[-1:]), end="\n\n", flush=True)
    if given.out:
        record = {"machine": machine, "tables": [table.as_record() for table in tables]}
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if any(table.failures for table in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
