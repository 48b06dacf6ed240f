"""Work in a separate process: a command timed as a whole, or a module here that prints its result as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1]
LONGEST = 1800.0
"""Timeout of a child process in seconds."""


class ChildFailure(RuntimeError):
    """Failure of a child process; the message ends with its last output."""


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return the output of a command.

    Raises:
        ChildFailure: it failed or took too long.
    """
    given = {**child_environment(), **(environment or {})}
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=given, cwd=cwd, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired as error:
        raise ChildFailure(f"{' '.join(words[:4])} took longer than {LONGEST:.0f} s") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-1500:]
        raise ChildFailure(f"{' '.join(words[:4])} ended with {done.returncode}: {last}")
    return done.stdout


def child_environment() -> dict[str, str]:
    """Return the environment of this process, with the package `measure` on its path."""
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def seconds_of(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> float:
    """Return the wall time of a whole process in seconds."""
    start = time.perf_counter()
    run(command, environment=environment)
    return time.perf_counter() - start


def run_json(module: str, given: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the last output line of `python -m measure.<module> JSON`."""
    printed = run([sys.executable, "-m", f"measure.{module}", json.dumps(given)], environment=environment)
    record: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return record


def given_words() -> dict[str, Any]:
    """Return the arguments from the parent process, in a child."""
    words: dict[str, Any] = json.loads(sys.argv[1])
    return words
