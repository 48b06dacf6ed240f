"""False refusals of the content gate: scores every picture of a folder in the same way as `admit`.

    python benchmarks/gate.py ../shared/data --out gate.json

All pictures below the folder must be ordinary, so each refusal is false. Takes about 30 ms per picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ganvas.content_gate.gate import THRESHOLD, admit
from ganvas.errors import PolicyRefusal
from ganvas.image.files import list_images, read_image

SAFE = 0.2
"""Score below which the authors of Open NSFW consider a picture safe."""
Row = dict[str, str | float | int]


def score(path: Path, name: str) -> float:
    """Return the score, also for a refused picture; NaN if the gate returned none."""
    try:
        return admit(read_image(path), name=name)
    except PolicyRefusal as refusal:
        return float("nan") if refusal.score is None else refusal.score


def measure(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Return folder below `folder` -> (name, score) of each picture in it."""
    scores: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for path in track(list_images(folder, recursive=True), "scoring", console=Console(stderr=True)):
        name = path.relative_to(folder).as_posix()
        scores[str(Path(name).parent)].append((name, score(path, name)))
    return scores


def summarize(group: str, scored: list[tuple[str, float]]) -> Row:
    values = np.array([value for _, value in scored])
    return {
        "folder": group,
        "pictures": len(values),
        "median": round(float(np.median(values)), 4),
        "p99": round(float(np.percentile(values, 99)), 4),
        "max": round(float(values.max()), 4),
        "over_0.2": int((values > SAFE).sum()),
        "over_0.8": int((values > THRESHOLD).sum()),
        "no_score": int(np.isnan(values).sum()),
    }


def print_table(rows: list[Row]) -> None:
    table = Table(*rows[0].keys(), title=f"Open NSFW on ordinary pictures; refused above {THRESHOLD}")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("gate.json"))
    given = parser.parse_args()
    start = time.perf_counter()
    groups = measure(given.folder)
    everything = [item for scored in groups.values() for item in scored]
    rows = [summarize(group, scored) for group, scored in sorted(groups.items())] + [summarize("all", everything)]
    highest = sorted(everything, key=lambda item: -item[1])[:20]
    record = {"seconds": round(time.perf_counter() - start, 1), "folders": rows, "highest": highest}
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
