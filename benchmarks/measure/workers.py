"""Variants that each live in a process of their own and work in turn: no setting or memory of one is another's."""

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
    """A process that has made one variant's work and waits to be told to do it.

    Attributes:
        name: for messages.
        said: its standard error.
    """

    name: str
    process: subprocess.Popen[str]
    said: IO[str]

    def peak_bytes(self) -> float:
        """The most memory that making the work and doing it twice took."""
        return self._ask("made")

    def seconds(self, calls: int) -> float:
        """Do the work so often: seconds a call."""
        return self._ask(f"time {calls}")

    def operations(self) -> float:
        """Floating-point operations of one call."""
        return self._ask("count 1")

    def _ask(self, words: str) -> float:
        """The answer to one line.

        Raises:
            ChildFailure: the process has ended; the message tells what it said last.
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
    """A worker while the block runs; `measure.worker` makes its work of what is given."""
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
    """The workers that could be made.

    Attributes:
        workers: variant -> its process.
        peaks: variant -> bytes.
    """

    workers: dict[str, Worker]
    peaks: dict[str, float]

    def count(self, variant: str) -> float:
        """Operations of one call; those of a captured or compiled variant are the plain one's."""
        return self.workers[variant.partition(",")[0]].operations()


@contextmanager
def team(what: str, given: Mapping[str, Mapping[str, Any]], table: Table) -> Iterator[Team]:
    """Make the variants one after the other; one that cannot be made is told in the table and left out."""
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
