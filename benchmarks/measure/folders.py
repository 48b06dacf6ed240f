"""Part `folder`: localization and redaction of a folder of pictures, each measured as a whole process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from measure.child import ChildFailure, seconds_of
from measure.options import Options
from measure.table import Row, Table
from measure.timing import Timing

GANVAS = (sys.executable, "-m", "ganvas")
NOTE = (
    "Whole processes on the first {count} pictures of each folder ({origin}), including startup and verification. A "
    "redaction covers, verifies and widens until nothing is found, so its time depends on the pictures."
)
JOBS = {
    "locate, imagenet": ("horse2zebra/testB", ("locate",), ("--classifier", "imagenet")),
    "redact, nsfw": ("flowers", ("redact",), ("--classifier", "nsfw")),
    "redact, imagenet zebra": ("horse2zebra/testB", ("redact",), ("--classifier", "imagenet", "--class", "zebra")),
}
"""Name -> (folder with the pictures, verb, flags)."""


def measure_folders(options: Options) -> list[Table]:
    """Return a table with a row for each job."""
    count = options.of(48, 12)
    table = Table("Localization and redaction of a folder")
    table.notes.append(NOTE.format(count=count, origin=options.pictures.origin))
    for name, (data, verb, flags) in JOBS.items():
        source = options.pictures.photographs(data, count)
        try:
            table.rows.append(_row(name, count, [_once(verb[0], flags, source, options) for _ in range(2)]))
        except ChildFailure as failure:
            table.fail(name, failure)
    return [table]


def _once(verb: str, flags: tuple[str, ...], source: Path, options: Options) -> float:
    out, cache = options.pictures.work / "out", options.pictures.work / "scores"
    for folder in (out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    where = [source, "--out", out] if verb == "locate" else [source, out]
    return seconds_of([*GANVAS, verb, *where, *flags], environment={"GANVAS_CACHE": str(cache)})


def _row(name: str, count: int, seconds: list[float]) -> Row:
    timing = Timing(tuple(seconds))
    return {
        "work": name,
        "pictures": count,
        "seconds": timing.median,
        "fastest-slowest": timing.spread,
        "pictures/s": count / timing.median,
    }
