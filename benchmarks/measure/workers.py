"""Worker processes, one per variant, which run in turn, so that variants share neither settings nor memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from measure.child import ChildFailure, child_environment
from measure.table import Table


@dataclass(frozen=True)
class Worker:
    """Process that has created the workload of one variant and waits for commands.

    Attributes:
        name: name for messages.
        said: standard error of the process.
    """

    name: str
    process: subprocess.Popen[str]
    said: IO[str]

    def peak_bytes(self) -> float:
        """Return the peak memory of creating the workload and running it twice."""
        return self._ask("made")

    def seconds(self, calls: int) -> float:
        """Run the workload `calls` times; return the seconds per call."""
        return self._ask(f"time {calls}")

    def operations(self) -> float:
        """Return the floating-point operations of one call."""
        return self._ask("count 1")

    def _ask(self, words: str) -> float:
        """Send a command; return the answer.

        Raises:
            ChildFailure: the process has ended; the message ends with its last output.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(words, file=self.process.stdin, flush=True)
            return float(self.process.stdout.readline())
        except (OSError, ValueError) as error:
            self.said.seek(0)
            said = self.said.read().strip()[-1000:]
            raise ChildFailure(f"{self.name} ended with {self.process.wait()}: {said}") from error


@contextmanager
def started(name: str, given: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """Start a worker for the block; `given` are the arguments of `measure.worker`."""
    command, pipe = [sys.executable, "-m", "measure.worker", json.dumps(given)], subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=said, text=True, env=environment or child_environment()
        ) as process,
    ):
        try:
            yield Worker(name, process, said)
        finally:
            process.kill()


@dataclass(frozen=True)
class Team:
    """Workers that started successfully.

    Attributes:
        workers: variant -> worker.
        peaks: variant -> peak memory in bytes.
    """

    workers: dict[str, Worker]
    peaks: dict[str, float]

    def count(self, variant: str) -> float:
        """Return the operations of one call; for a captured or compiled variant, those of the plain one."""
        return self.workers[variant.partition(",")[0]].operations()


@contextmanager
def team(what: str, given: Mapping[str, Mapping[str, Any]], table: Table) -> Iterator[Team]:
    """Start the variants one after the other; the table lists those that fail."""
    made = Team({}, {})
    with ExitStack() as stack:
        for name, words in given.items():
            worker = stack.enter_context(started(name, words))
            try:
                made.peaks[name] = worker.peak_bytes()
                made.workers[name] = worker
            except ChildFailure as failure:
                table.fail(f"{what}, {name}", failure)
        yield made
