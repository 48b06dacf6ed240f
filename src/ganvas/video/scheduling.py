"""Scheduling of the threads of an encoder."""

from __future__ import annotations

import os
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
    running = set(TASKS.iterdir())
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in set(TASKS.iterdir()) - running:
            with suppress(ProcessLookupError):  # it has ended
                if os.sched_getscheduler(int(task.name)) != policy:
                    os.sched_setscheduler(int(task.name), policy, priority)
        os.sched_setscheduler(0, policy, priority)
