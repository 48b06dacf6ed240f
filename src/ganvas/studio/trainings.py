"""Training runs in the studio: curves, previews and warnings of a run, and resuming and stopping of runs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.errors import InputError
from ganvas.runs.folder import METRICS_NAME
from ganvas.serialization import read_json_lines
from ganvas.studio.library import describe_run
from ganvas.training.health import Health

__all__ = ["Trainings", "read_figures"]

NUMBERED = re.compile(r"\d{8}\.png")
MOST_POINTS = 400
"""Largest number of points of a curve; longer curves are averaged."""
RECENT = 5
"""Number of rows over which the speed is measured."""
EXCLUDED = {"kind", "images", "epoch", "learning_rate", "seconds"}
"""Keys of a row that are not losses."""
LIVE_SECONDS = 90.0
"""Seconds since the last change of a run's files within which it counts as training."""
SAVING_SECONDS = 120.0
"""Seconds in which a stopped training run may save its state."""
INTERRUPTED = 130
"""Exit code of a training run that Ctrl-C stopped."""
SHOWN_OUTPUT = 2000
"""Largest number of characters to show of a training run's last output."""


@dataclass
class _Running:
    """Training run that the studio started."""

    process: subprocess.Popen[bytes]
    words: Path
    least: int
    """Smallest size of the metrics yet; `ganvas resume` removes the rows after the checkpoint, then adds new ones."""
    begun: bool = False
    """Whether a row was added."""
    stopping: bool = False

    def look(self, run: Path) -> None:
        """Note whether the training has added a row."""
        size = metrics_size(run)
        self.begun = self.begun or size > self.least
        self.least = min(self.least, size)

    @property
    def problem(self) -> str:
        """Return the heading of a failure; empty for a training that is running, finished or interrupted."""
        code = self.process.poll()
        if code in (None, 0, INTERRUPTED) or self.stopping:
            return ""
        return "The training ended with an error" if self.begun else "The training could not start"


class Trainings:
    """Training runs that the studio started, each as `ganvas resume` in a separate process.

    Args:
        folder: folder for their output.
        threads: number of CPU threads; None for that of the run.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self._folder, self._running = folder, dict[str, _Running]()
        self._settings = [] if threads is None else ["--threads", str(threads)]

    def state(self, key: str, run: Path) -> dict[str, Any]:
        """Return the state of a run's training; if it has ended, also its last output and problem.

        A training run is `starting` until it has added the first row to its metrics.
        """
        changed = last_change(run)
        state: dict[str, Any] = {"state": "idle", "changed": changed, "words": "", "problem": ""}
        if (own := self._running.get(key)) is None:
            live = changed is not None and changed < LIVE_SECONDS
            return state | {"state": "elsewhere" if live else "idle"}
        code = own.process.poll()
        own.look(run)
        if code is None:
            begun = "running" if own.begun else "starting"
            return state | {"state": "stopping" if own.stopping else begun}
        words = own.words.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return state | {"words": "\n".join(words[-8:])[-SHOWN_OUTPUT:], "code": code, "problem": own.problem}

    def resume(self, key: str, run: Path) -> None:
        """Resume a run.

        Raises:
            InputError: the run is already training.
        """
        if (own := self._running.get(key)) is not None and own.process.poll() is None:
            raise InputError("this run is already training")
        words = self._folder / f"{key}.txt"
        with words.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - the path is a run below the root
                [sys.executable, "-m", "ganvas", "resume", str(run), *self._settings],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C in the terminal reaches it only once, through `close`
            )
        self._running[key] = _Running(process, words, metrics_size(run))

    def stop(self, key: str) -> None:
        """Stop a training run like Ctrl-C: it finishes its step and saves its state, so that it resumes exactly.

        Raises:
            InputError: the studio did not start it, or it has ended.
        """
        own = self._running.get(key)
        if own is None or own.process.poll() is not None:
            raise InputError("the studio did not start this training run; stop it where it was started")
        if not own.stopping:  # a second signal would terminate it immediately
            own.stopping = True
            own.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Stop all training runs, and wait until they have saved their states."""
        for key in self._running:
            with suppress(InputError):
                self.stop(key)
        deadline = time.monotonic() + SAVING_SECONDS
        for own in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                own.process.wait(max(deadline - time.monotonic(), 0.1))


def metrics_size(run: Path) -> int:
    """Return the size of a run's metrics in bytes, 0 without metrics."""
    try:
        return (run / METRICS_NAME).stat().st_size
    except OSError:
        return 0


def last_change(run: Path) -> float | None:
    """Return the seconds since the metrics of a run changed, or None if it has none."""
    try:
        return max(time.time() - (run / METRICS_NAME).stat().st_mtime, 0.0)
    except OSError:
        return None


def read_figures(run: Path) -> dict[str, Any]:
    """Return curves of losses and validation metrics, previews, speed, remaining time and warnings of a run."""
    rows = [row for row in read_json_lines(run / METRICS_NAME) if isinstance(row.get("images"), int)]
    training = [row for row in rows if row.get("kind") == "training"]
    validation = [row for row in rows if row.get("kind") == "validation"]
    about = describe_run(run)
    return {
        "losses": curves(training),
        "validation": curves(validation),
        "learning_rate": training[-1].get("learning_rate") if training else None,
        "warnings": warnings_of(rows),
        "previews": [int(path.stem) for path in previews(run)],
        **speed(training, about.get("epochs"), about.get("minutes")),
    }


def previews(run: Path) -> list[Path]:
    """Return the preview grids of a run, oldest first."""
    folder = run / "samples"
    return sorted(path for path in folder.glob("*.png") if NUMBERED.fullmatch(path.name)) if folder.is_dir() else []


def curves(rows: list[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Return name -> points (images, value), averaged to at most `MOST_POINTS`."""
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in EXCLUDED and isinstance(value, int | float):
                found.setdefault(name, []).append([row["images"], value])
    return {name: thinned(points) for name, points in found.items()}


def thinned(points: list[list[float]]) -> list[list[float]]:
    """Average consecutive points."""
    size = -(-len(points) // MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [[group[-1][0], sum(value for _, value in group) / len(group)] for group in groups]


def speed(training: list[dict[str, Any]], epochs: float | None, minutes: float | None) -> dict[str, Any]:
    """Return images seen and in total, images per second, and remaining seconds, as far as the rows contain them."""
    result: dict[str, Any] = {"images": None, "total": None, "rate": None, "left": None, "seconds": None}
    if not training:
        return result
    last = training[-1]
    result |= {"images": last["images"], "seconds": last.get("seconds")}
    if epochs and last.get("epoch"):
        result["total"] = round(epochs * last["images"] / last["epoch"])
    first = training[max(len(training) - 1 - RECENT, 0)]
    passed = (last.get("seconds") or 0) - (first.get("seconds") or 0)
    if passed > 0:
        result["rate"] = (last["images"] - first["images"]) / passed
    lefts = []
    if result["total"] and result["rate"]:
        lefts.append((result["total"] - last["images"]) / result["rate"])
    if minutes and last.get("seconds") is not None:
        lefts.append(60 * minutes - last["seconds"])
    return result | {"left": max(min(lefts), 0.0) if lefts else None}


def warnings_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the warnings of the training run, derived from its rows."""
    health, found = Health(), list[str]()
    for row in rows:
        values = {name: value for name, value in row.items() if name not in EXCLUDED and isinstance(value, int | float)}
        found += health.losses(values) if row.get("kind") == "training" else health.validation(values)
    return found
