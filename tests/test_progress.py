"""Progress: bars, reports to the caller, and cancellation."""

import pytest

from ganvas.errors import Cancelled
from ganvas.progress import Progress, progress_bars, reporting_to


class Recorded(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.reports: list[tuple[str, int, int]] = []

    def __call__(self, task: str, done: int, total: int) -> None:
        self.reports.append((task, done, total))


def test_bars_without_a_report_leave_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="too early"), progress_bars():
        raise ValueError("too early")
    assert capsys.readouterr().err == ""


def test_reports_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as progress:
        progress("reading", 1, 2)
        progress("reading", 2, 2)
    assert "reading" in (shown := capsys.readouterr().err)
    assert "2/2" in shown


def test_nothing_is_shown_where_the_caller_wants_none(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(shown=False) as progress:
        progress("reading", 1, 2)
    assert capsys.readouterr().err == ""


def test_the_callers_own_progress_takes_the_place_of_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting_to(Recorded()) as own:
        with progress_bars() as progress:
            assert list(progress.track("ab", "letters", total=2)) == ["a", "b"]
        assert isinstance(own, Recorded)
        assert own.reports == [("letters", 0, 2), ("letters", 1, 2), ("letters", 2, 2)]
    assert capsys.readouterr().err == ""
    with progress_bars(shown=False) as progress:
        assert progress is not own


def test_work_stops_between_two_steps_once_it_is_cancelled() -> None:
    progress = Progress()
    numbers = progress.track(range(9), "count", total=9)
    assert [next(numbers), next(numbers)] == [0, 1]
    progress.cancel()
    with pytest.raises(Cancelled):
        next(numbers)
