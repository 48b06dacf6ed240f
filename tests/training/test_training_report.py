"""What the terminal shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ganvas.training import report
from ganvas.training.report import Report


def shown(*, terminal: bool, quiet: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, quiet=quiet)
    with Report(100, 50, quiet=quiet, console=console) as told:
        told.losses({"generator/l1": 12.345})
        told.show(75, rate=3.5, seconds_left=90.0)
        told.say("[a line] of its own")
    return file.getvalue()


def test_a_terminal_sees_a_bar() -> None:
    text = shown(terminal=True)
    assert "75 of 100 images  epoch 1.50  3.5 images/s  90 s left" in text
    assert "generator/l1 12.3" in text
    assert "[a line] of its own" in text


def test_a_fast_rate_is_written_out() -> None:
    file = io.StringIO()
    with Report(10_000, 50, console=Console(file=file, force_terminal=True, width=80)) as told:
        told.show(75, rate=1234.5, seconds_left=90.0)
    assert "  1,234 images/s" in file.getvalue()


def test_a_narrow_terminal_sees_every_loss() -> None:
    file = io.StringIO()
    with Report(100, 50, console=Console(file=file, force_terminal=True, width=60)) as told:
        told.losses({f"player/loss_{index}": 1.25 for index in range(6)})
        told.show(75, rate=3.5, seconds_left=90.0)
    assert all(f"player/loss_{index} 1.25" in file.getvalue() for index in range(6))


def test_a_log_file_sees_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=False) == "[a line] of its own\n"
    monkeypatch.setattr(report, "PLAIN_EVERY", -1.0)
    assert shown(terminal=False).startswith("75 of 100 images  epoch 1.50")


def test_quiet_is_quiet() -> None:
    assert shown(terminal=True, quiet=True) == ""
