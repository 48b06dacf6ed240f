"""Progress that records its reports, for tests."""

from __future__ import annotations

from collections.abc import Callable

from ganvas.progress import Progress


class RecordedProgress(Progress):
    """Record every report, and pass it to `then` too."""

    def __init__(self, then: Callable[[str, int, int], object] = lambda *_: None) -> None:
        super().__init__()
        self.reports: list[tuple[str, int, int]] = []
        self._then = then

    def __call__(self, task: str, done: int, total: int) -> None:
        self.reports.append((task, done, total))
        self._then(task, done, total)
