"""Progress reports with the remaining time, and cancellation of long work between two steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from ganvas.errors import Cancelled

__all__ = ["SILENT", "Progress", "progress_bars", "reporting_to", "track"]

Item = TypeVar("Item")
_chosen: ContextVar[Progress | None] = ContextVar("progress", default=None)


class Progress:
    """Receiver of progress reports and means of cancellation. This base class shows nothing.

    A subclass can override `__call__` to show reports elsewhere, such as on a page; see `reporting_to`.
    """

    def __init__(self) -> None:
        self._cancelled = Event()

    def __call__(self, task: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of a task are finished."""

    def cancel(self) -> None:
        """Request that the work stops before its next step; may be called from any thread."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise if the work was cancelled; long work calls this between two steps.

        Raises:
            Cancelled: after a call of `cancel`.
        """
        if self._cancelled.is_set():
            raise Cancelled("cancelled; the same command resumes the work")

    def track(self, items: Iterable[Item], task: str, *, total: int) -> Iterator[Item]:
        """Yield the items, and report each one after its use."""
        self(task, 0, total)
        for done, item in enumerate(items, start=1):
            self.check()
            yield item
            self(task, done, total)


SILENT = Progress()
"""Progress that shows nothing and is never cancelled."""


class _Bars(Progress):
    """Progress bars on standard error, one for each task."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, TaskID] = {}
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True, force_jupyter=False),  # a notebook without ipywidgets would warn
        )

    def __call__(self, task: str, done: int, total: int) -> None:
        self._bars.start()
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task)
        self._bars.update(self._tasks[task], completed=done, total=total)

    def close(self) -> None:
        """Stop updating the bars, without leaving empty lines."""
        if self._tasks:
            self._bars.stop()


@contextmanager
def progress_bars(*, shown: bool = True) -> Iterator[Progress]:
    """Yield the progress set by `reporting_to`, else bars on standard error.

    Args:
        shown: whether to show progress.
    """
    chosen = _chosen.get()
    if chosen is not None or not shown:
        yield chosen or Progress()
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


@contextmanager
def reporting_to(progress: Progress) -> Iterator[Progress]:
    """Report the progress of every command inside the block to `progress`, which can also cancel it."""
    token = _chosen.set(progress)
    try:
        yield progress
    finally:
        _chosen.reset(token)


def track(items: Iterable[Item], task: str, *, total: int, shown: bool = True) -> Iterator[Item]:
    """Yield the items with a separate progress bar; see `progress_bars` and `Progress.track`."""
    with progress_bars(shown=shown) as progress:
        yield from progress.track(items, task, total=total)
