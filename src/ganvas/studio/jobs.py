"""Job queue of the studio: one worker process, jobs in order, positions, cancellation, and crashes told in words."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from ganvas.errors import InputError
from ganvas.studio.worker import CANCEL, Task, run_worker

__all__ = ["Job", "JobQueue"]

State = Literal["queued", "running", "done", "failed", "refused", "cancelled"]
PATIENCE = 5.0
"""Seconds that a task has to stop between two steps before its process is ended."""
KEPT = 200
"""Finished jobs that are remembered."""
WAITING = 50
"""Largest number of jobs that wait."""


@dataclass(eq=False)
class Job:
    """One piece of work, and what became of it.

    Attributes:
        task: what to do.
        kind: of the task, for the page.
        title: a few words on it, for the page.
        receive: called with the result in the server; returns what the page is told of it.
        id: random.
        state: see `State`.
        progress: task, steps done, steps in all.
        notes: warnings, each once.
        result: ready for JSON.
        message: why there is no result.
        started: on the monotonic clock.
        finished: on the monotonic clock.
    """

    task: Task
    kind: str
    title: str
    receive: Callable[[dict[str, Any]], dict[str, Any]] = lambda result: result
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: State = "queued"
    progress: tuple[str, int, int] | None = None
    notes: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None
    message: str = ""
    started: float = 0.0
    finished: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def as_record(self, position: int | None) -> dict[str, Any]:
        """Return what the page may know, ready for JSON.

        Args:
            position: 1 for the next job of the queue; None for a job that does not wait.
        """
        now = self.finished or time.monotonic()
        seconds = now - self.started if self.started else 0.0
        record: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "state": self.state,
            "position": position,
        }
        record |= {"progress": self.progress, "seconds": round(seconds, 1), "left": self._left(seconds)}
        return record | {"notes": self.notes, "result": self.result, "message": self.message}

    def _left(self, seconds: float) -> float | None:
        """Return the seconds that the current task still takes at its mean speed, where that can be told."""
        if self.state != "running" or self.progress is None:
            return None
        _, done, total = self.progress
        return round(seconds * (total - done) / done, 1) if 0 < done < total else None


class JobQueue:
    """Queue with one worker process, which is started with the first job and again after a crash.

    Args:
        name: of the process.
        prepare: called in each new worker process; can be pickled.
        patience: see `PATIENCE`.
        threads: number of CPU threads of the worker; None for all.
    """

    def __init__(
        self,
        name: str,
        *,
        prepare: Callable[[], None] | None = None,
        patience: float = PATIENCE,
        threads: int | None = None,
    ) -> None:
        self._name, self._prepare, self._patience, self._threads = name, prepare, patience, threads
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._worker: _Worker | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def add(self, job: Job) -> Job:
        """Append a job.

        Raises:
            InputError: too many jobs wait.
        """
        with self._changed:
            if len(self._waiting) >= WAITING:
                raise InputError(f"{WAITING} jobs are waiting already; cancel some, or wait")
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._forget()
            self._changed.notify_all()
        return job

    def records(self) -> list[dict[str, Any]]:
        """Return all remembered jobs, oldest first, ready for JSON."""
        with self._changed:
            places = {job.id: place for place, job in enumerate(self._waiting, start=1)}
            return [job.as_record(places.get(job.id)) for job in self._jobs.values()]

    def cancel(self, key: str) -> None:
        """Cancel a job: a waiting one at once, a running one between two steps, or by ending its process.

        Raises:
            KeyError: there is no such job.
        """
        with self._changed:
            job = self._jobs[key]
            job.stop.set()
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, "cancelled", "removed from the queue")

    def close(self) -> None:
        """Stop everything and end the worker process."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.stop.set()
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.kill()
        self._thread.join()

    def _work(self) -> None:
        """Run one job after the other; the queue's thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    break
                job = self._waiting.popleft()
                job.state, job.started = "running", time.monotonic()
            self._run(job)
        if self._worker is not None:
            self._worker.kill()

    def _run(self, job: Job) -> None:
        if self._worker is None or not self._worker.process.is_alive():
            self._worker = _Worker(self._name, self._prepare, self._threads)
        worker = self._worker
        try:
            worker.connection.send(job.task)
            event = self._follow(job, worker)
        except (EOFError, OSError):
            worker.kill()
            event = {"failed": _epitaph(worker.process.exitcode)}
        self._settle(job, event)

    def _follow(self, job: Job, worker: _Worker) -> dict[str, Any]:
        """Pass the progress of the running task on, and return its last event."""
        asked: float | None = None
        while True:
            if job.stop.is_set():
                if asked is None:
                    asked = time.monotonic()
                    worker.connection.send(CANCEL)
                elif time.monotonic() - asked > self._patience or self._closed:
                    worker.kill()
                    return {"cancelled": "stopped; its process was ended"}
            if not worker.connection.poll(0.05):
                continue
            event = json.loads(worker.connection.recv_bytes())
            if "progress" in event:
                job.progress = tuple(event["progress"])
            elif "note" in event:
                job.notes += [event["note"]] if event["note"] not in job.notes else []
            else:
                return dict(event)

    def _settle(self, job: Job, event: dict[str, Any]) -> None:
        """Record the last event of a task."""
        state: State
        ((state, content),) = event.items()  # type: ignore[assignment]
        if state == "done":
            try:
                job.result = job.receive(content)
                content = ""
            except (KeyError, InputError) as error:  # what it was made for has been removed meanwhile
                state, content = "failed", f"the result has no place any more: {error}"
        with self._changed:
            self._end(job, state, content)

    def _end(self, job: Job, state: State, message: str) -> None:
        job.state, job.message, job.finished = state, message, time.monotonic()
        job.over.set()

    def _forget(self) -> None:
        """Forget the oldest finished jobs."""
        finished = [job.id for job in self._jobs.values() if job.over.is_set()]
        for key in finished[: max(len(finished) - KEPT, 0)]:
            del self._jobs[key]


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self, name: str, prepare: Callable[[], None] | None, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, far = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=run_worker, args=(far, prepare, threads), name=f"ganvas-{name}", daemon=True
        )
        self.process.start()
        far.close()

    def kill(self) -> None:
        """End the process now."""
        with suppress(OSError, ValueError):
            self.process.kill()
            self.process.join()


def _epitaph(code: int | None) -> str:
    """Return what is known about a worker that ended by itself."""
    if code is not None and code < 0:
        why = f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; memory may have run out" if code == -signal.SIGKILL.value else ""
        return f"the worker crashed ({why}{hint}); this job has no result, and the next one gets a new worker"
    return f"the worker ended (exit code {code}); this job has no result, and the next one gets a new worker"
