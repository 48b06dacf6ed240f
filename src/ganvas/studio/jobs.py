"""Job queue of the studio: one worker process, with positions, cancellation, and reports of crashes."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal

from ganvas.errors import InputError
from ganvas.studio.worker import CANCEL, Task, run_worker

__all__ = ["Job", "JobQueue"]

State = Literal["queued", "running", "done", "failed", "refused", "cancelled"]
PATIENCE = 5.0
"""Seconds in which a cancelled task must stop before its process is terminated."""
KEPT = 200
"""Number of finished jobs to remember."""
WAITING = 50
"""Largest number of waiting jobs."""


@dataclass(eq=False)
class Job:
    """Job of the queue, with its state and result.

    Attributes:
        task: task to run.
        kind: kind of the task, for the page.
        title: title for the page.
        receive: function that stores the result in the server and returns its description for the page.
        needs: files and folders that must exist until the job ends.
        id: random id.
        state: see `State`.
        progress: task, finished steps, total steps.
        notes: warnings without duplicates.
        result: result, ready for JSON.
        message: reason why there is no result.
        started: start on the monotonic clock.
        finished: end on the monotonic clock.
    """

    task: Task
    kind: str
    title: str
    receive: Callable[[dict[str, Any]], dict[str, Any]] = lambda result: result
    needs: Sequence[Path] = ()
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
        """Return the description of the job for the page, ready for JSON.

        Args:
            position: 1 for the next job of the queue; None for a job that is not waiting.
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
        """Return the estimated remaining seconds of the current task at its mean speed, or None."""
        if self.state != "running" or self.progress is None:
            return None
        _, done, total = self.progress
        return round(seconds * (total - done) / done, 1) if 0 < done < total else None


class JobQueue:
    """Queue with one worker process, which is started with the first job and again after a crash.

    Args:
        name: name of the process.
        prepare: picklable function to call in each new worker process.
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
                raise InputError(f"{WAITING} jobs are already waiting; cancel some, or wait")
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

    def needed(self) -> list[Path]:
        """Return the files and folders that waiting and running jobs need."""
        with self._changed:
            return [path for job in self._jobs.values() if not job.over.is_set() for path in job.needs]

    def cancel(self, key: str) -> None:
        """Cancel a job: a waiting one immediately, a running one before its next step or by terminating its process.

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
        """Stop all jobs and terminate the worker process."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.stop.set()
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.kill()
        self._thread.join()

    def _work(self) -> None:
        """Run the jobs in order, in the thread of the queue."""
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
            event = {"failed": _crash_message(worker.process.exitcode)}
        self._settle(job, event)

    def _follow(self, job: Job, worker: _Worker) -> dict[str, Any]:
        """Forward the progress of the running task, and return its last event."""
        asked: float | None = None
        while True:
            if job.stop.is_set():
                if asked is None:
                    asked = time.monotonic()
                    worker.connection.send(CANCEL)
                elif time.monotonic() - asked > self._patience or self._closed:
                    worker.kill()
                    return {"cancelled": "cancelled; its process was terminated"}
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
            except (KeyError, InputError) as error:  # the upload has been removed in the meantime
                state, content = "failed", f"the upload of the result no longer exists: {error}"
        with self._changed:
            self._end(job, state, content)

    def _end(self, job: Job, state: State, message: str) -> None:
        job.state, job.message, job.finished = state, message, time.monotonic()
        job.over.set()

    def _forget(self) -> None:
        """Discard the oldest finished jobs."""
        finished = [job.id for job in self._jobs.values() if job.over.is_set()]
        for key in finished[: max(len(finished) - KEPT, 0)]:
            del self._jobs[key]


class _Worker:
    """Worker process and the connection to it."""

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
        """Terminate the process immediately."""
        with suppress(OSError, ValueError):
            self.process.kill()
            self.process.join()


def _crash_message(code: int | None) -> str:
    """Describe why a worker process ended by itself."""
    if code is not None and code < 0:
        why = f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; memory may have run out" if code == -signal.SIGKILL.value else ""
        return f"the worker crashed ({why}{hint}); this job has no result, and the next one gets a new worker"
    return f"the worker ended (exit code {code}); this job has no result, and the next one gets a new worker"
