"""Work in a process of its own: a command timed as a whole, or a module here that prints its result as JSON."""

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
"""Seconds after which a child is given up."""


class ChildFailure(RuntimeError):
    """A child ended badly; the message ends with what it said last."""


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """The output of a command.

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
    """This process's, with the package `measure` in it."""
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def seconds_of(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> float:
    """Wall seconds of a whole process."""
    start = time.perf_counter()
    run(command, environment=environment)
    return time.perf_counter() - start


def run_json(module: str, given: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The last line of what `python -m measure.<module> JSON` prints."""
    printed = run([sys.executable, "-m", f"measure.{module}", json.dumps(given)], environment=environment)
    record: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return record


def given_words() -> dict[str, Any]:
    """In a child: what its parent gave it."""
    words: dict[str, Any] = json.loads(sys.argv[1])
    return words
