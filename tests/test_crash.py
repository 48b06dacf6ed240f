"""An unexpected error is one line, a trace in a file, and exit code 70."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ganvas import api, crash
from ganvas.cli import main
from ganvas.crash import report_crash


class Unforeseen(Exception):
    """None of ours."""


def broken(**settings: object) -> str:
    """Fail."""
    raise Unforeseen("two\nlines \x1b[31m")


class Unshowable:
    """A result that cannot be printed."""

    def __str__(self) -> str:
        raise Unforeseen


def unshowable(**settings: object) -> Unshowable:
    """Return what cannot be shown."""
    return Unshowable()


def test_one_line_and_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(api, "demo", broken)
    assert main(["demo", "--out", str(tmp_path / "odd\nname")]) == 70
    shown = capsys.readouterr()
    assert shown.out == ""
    (trace,) = (tmp_path / "cache" / "crashes").iterdir()
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("ganvas demo --out ")
    assert r"odd\nname" in shown.err
    assert r"unexpected Unforeseen: two\nlines \x1b[31m; the full trace is in " in shown.err
    assert str(trace) in shown.err
    text = trace.read_text()
    assert "Traceback (most recent call last)" in text
    assert "raise Unforeseen" in text
    assert text.startswith("ganvas 0.")


def test_a_result_that_cannot_be_shown_is_unexpected_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "demo", unshowable)
    assert main(["demo"]) == 70
    assert "unexpected Unforeseen; the full" in capsys.readouterr().err


def test_without_a_cache_the_trace_lies_among_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    told = report_crash(["locate"], Unforeseen("x"))
    (trace,) = (tmp_path / "temporary" / "ganvas-crashes").iterdir()
    assert str(trace) in told
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert "the full trace could not be written" in report_crash(["locate"], Unforeseen("x"))


def test_old_traces_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    monkeypatch.setattr(crash, "MOST", 2)
    for _ in range(4):
        report_crash(["locate"], Unforeseen("x"))
    assert len(list((tmp_path / "crashes").iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="a pipe without a reader")
def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from ganvas.cli import _print; _print('x' * 100); sys.exit(5)"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (5, b"")
