"""Scheduling of the threads of an encoder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["keep_scheduling"]

TASKS = Path("/proc/self/task")


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Restore the scheduling policy of this thread, and give it to the threads that start meanwhile.

    SVT-AV1 switches the thread that opens it and its own threads to real-time scheduling (SCHED_FIFO, priority 99) if
    the user is root, as in most containers. Such threads, and the processes that they start, take the processor from
    everything else on the machine. Outside Linux this does nothing.
    """
    if not TASKS.is_dir():
        yield
        return
    others = set(TASKS.iterdir()) - {TASKS / str(threading.get_native_id())}
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in set(TASKS.iterdir()) - others:
            with suppress(OSError):  # the thread has ended, or the system forbids such changes, also to the encoder
                if os.sched_getscheduler(int(task.name)) != policy:
                    os.sched_setscheduler(int(task.name), policy, priority)
