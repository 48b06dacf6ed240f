"""Progress bar with the remaining time, for work over many files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Tell = Callable[[str, int, int], None]
"""Called with the kind of work, the number done, and the total."""


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )


def track(items: Iterable[Item], what: str, *, total: int, shown: bool = True) -> Iterator[Item]:
    """Iterate over the items, with a progress bar on standard error."""
    with _bar(shown) as bar:
        yield from bar.track(items, total=total, description=what)


@contextmanager
def telling(*, shown: bool = True) -> Iterator[Tell]:
    """Yield a function that reports progress, with a bar for each kind of work."""
    bar = _bar(shown)
    tasks: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what)
        bar.update(tasks[what], completed=done, total=total)

    try:
        yield tell
    finally:
        if tasks:  # a bar that showed nothing leaves no empty line
            bar.stop()
