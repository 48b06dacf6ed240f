"""Tasks and preparations for worker processes of the studio, which must be importable there."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganvas.content_gate import gate
from ganvas.errors import InputError, PolicyRefusal
from ganvas.progress import Progress


def pass_everything() -> None:
    """Replace the gate's scorer by one that passes everything, like the fixture of the suite."""
    gate.load_scorer = lambda: lambda rgb: 0.0


def refuse_red() -> None:
    """Replace the gate's scorer by one that refuses red pictures."""
    gate.load_scorer = lambda: refuses_red


def refuses_red(rgb: np.ndarray) -> float:
    return 0.95 if rgb[:, :, 0].mean() > 200 > 100 > rgb[:, :, 1].mean() else 0.0


@dataclass(frozen=True)
class Act:
    """Task that does what its name says."""

    what: str

    def run(self, progress: Progress) -> dict[str, Any]:
        if self.what == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "fail":
            raise InputError("the picture is blue")
        if self.what == "refuse":
            raise PolicyRefusal("a.png", "as it should")
        if self.what == "break":
            raise ZeroDivisionError("a fault of ganvas")
        if self.what == "wait":
            for step in range(10_000):
                progress("steps", step, 10_000)
                progress.check()
                time.sleep(0.01)
        if self.what == "hang":
            time.sleep(600)
        return {"answer": 42, "process": os.getpid()}
