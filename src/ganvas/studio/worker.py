"""Worker process of the studio: runs tasks in order, reports progress, and cancels tasks.

Tasks run in a separate process, so that a task that crashes, or that does not stop, ends with this process only. The
server sends pickled tasks; the worker responds in JSON, so that a compromised worker cannot send code to the server.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from ganvas.errors import Cancelled, GanvasError, PolicyRefusal, problem_of
from ganvas.filesystem.paths import cache_folder
from ganvas.hardware.threads import let_waiting_threads_sleep, using_threads
from ganvas.progress import Progress, reporting_to
from ganvas.terminal import report_crash

__all__ = ["CANCEL", "Task", "run_worker"]

CANCEL = "cancel"
"""Message that cancels the running task."""
REPORT_SECONDS = 0.1
"""Smallest interval between two progress reports of a task in seconds."""


class Task(Protocol):
    """Picklable work of a job."""

    def run(self, progress: Progress) -> dict[str, Any]:
        """Run the task, and return the result, ready for JSON.

        Raises:
            GanvasError: the page shows the message.
            Cancelled: see `Progress.check`.
        """
        ...


class SentProgress(Progress):
    """Progress that sends its reports to the server."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send, self._last, self._task = send, 0.0, ""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Send the report, unless one of the same task was sent recently."""
        now = time.monotonic()
        if task != self._task or done == total or now - self._last >= REPORT_SECONDS:
            self._task, self._last = task, now
            self._send({"progress": [task, done, total]})


def run_worker(connection: Connection, prepare: Callable[[], None] | None, threads: int | None) -> None:
    """Run the tasks that arrive until the connection ends; the target of the process.

    Args:
        connection: connection to the server.
        prepare: function to call once before the first task.
        threads: number of CPU threads; None changes nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the server handles Ctrl-C, and then closes the connection
    let_waiting_threads_sleep()
    if prepare is not None:
        prepare()
    sending = threading.Lock()

    def send(event: dict[str, Any]) -> None:
        with sending:
            connection.send_bytes(json.dumps(event).encode())

    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if task != CANCEL:  # a late cancellation of a task that has just ended
            with using_threads(threads):
                _run(task, connection, send)


def _run(task: Task, connection: Connection, send: Callable[[dict[str, Any]], None]) -> None:
    """Run one task, while another thread waits for a cancellation."""
    progress, over = SentProgress(send), threading.Event()
    listener = threading.Thread(target=_listen, args=(connection, progress, over), daemon=True)
    listener.start()
    event = outcome_of(task, progress, note=lambda text: send({"note": text}))
    over.set()
    listener.join()
    send(event)


def _listen(connection: Connection, progress: Progress, over: threading.Event) -> None:
    """Cancel the task on request, or if the server has ended."""
    while not over.is_set():
        try:
            if connection.poll(REPORT_SECONDS) and connection.recv() == CANCEL:
                progress.cancel()
        except (EOFError, OSError):
            progress.cancel()
            return


def outcome_of(task: Task, progress: Progress, *, note: Callable[[str], None]) -> dict[str, Any]:
    """Run a task and return the last event of it: done, failed, refused or cancelled, with a message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # floating-point warnings of other packages
        warnings.showwarning = lambda message, *_where, **_more: note(str(message))
        try:
            with reporting_to(progress):
                return {"done": task.run(progress)}
        except Cancelled:
            return {"cancelled": "stopped"}
        except PolicyRefusal as refusal:
            return {"refused": str(refusal)}
        except (GanvasError, OSError, MemoryError) as error:
            return {"failed": problem_of(error)}
        except Exception as error:  # noqa: BLE001 - no traceback reaches the page
            return {"failed": report_crash(["studio", type(task).__name__], error, cache_folder=cache_folder)}
