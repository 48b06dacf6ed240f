"""Terminal text, signals, and unexpected errors: one line, a traceback in a file, and exit code 70."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ganvas
from ganvas import api, cli, terminal
from ganvas.cli import main
from ganvas.errors import ExportError, PartialFailure
from ganvas.filesystem.paths import cache_folder
from ganvas.image.files import write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.terminal import as_interrupts, one_line, printable, report_crash

ESCAPE = "\x1b]0;owned\x07\x1b[31m"


def test_control_characters_are_shown() -> None:
    assert printable(f"a{ESCAPE}b\n\tc") == r"a\x1b]0;owned\x07\x1b[31mb" + "\n\tc"
    assert printable("\x9b31m \u202egnp.exe \udcff") == r"\x9b31m \u202egnp.exe \udcff"
    assert printable("Größe 日本 é") == "Größe 日本 é"
    assert one_line("a\nganvas redact: done") == r"a\nganvas redact: done"


def test_a_failure_cannot_look_like_another_line() -> None:
    assert str(PartialFailure({"x\n5 redacted.png": "bad"}, 2)).splitlines()[1:] == [r"  x\n5 redacted.png: bad"]


@pytest.mark.skipif(os.name != "posix", reason="such names are for POSIX")
@pytest.mark.parametrize("name", [f"{ESCAPE}.png", "a\nb.png", os.fsdecode(b"\xff\xfe.png")])
@pytest.mark.parametrize("verb", ["prepare", "redact"])
def test_odd_names_go_through_every_verb(
    verb: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, file in enumerate([name, "2.png", "3.png"]):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        write_image(tmp_path / "photos" / file, Picture(pixels))
    (tmp_path / "photos" / f"bad{name}").write_bytes(b"no picture")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("2.png,0,0,4,4\n")
    words = {"prepare": ["--strength", "4", "4"], "redact": ["--boxes", str(boxes)]}[verb]
    assert main([verb, str(tmp_path / "photos"), str(tmp_path / "out"), *words]) == 5
    shown = capsys.readouterr()
    assert not set("\x1b\x07\udcff") & set(shown.out + shown.err)
    assert "bad" in shown.err


def test_labels_hold_no_control_characters() -> None:
    """XML does not allow them, and text in PNG files must be UTF-8."""
    label = SyntheticLabel(software="ganvas", model=f"Pix2Pix ({ESCAPE}\udcff)", note="made")
    assert b"\x1b" not in label.as_xmp()
    assert not set("\x1b\udcff") & set("".join(label.as_text().values()))


NUMBERS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_and_the_handler_is_put_back(number: int) -> None:
    before = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), as_interrupts():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with as_interrupts():
            os.kill(os.getpid(), number)  # ignored, as under nohup
    finally:
        signal.signal(number, before)


def test_a_verb_that_is_terminated_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def study(**settings: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(api, "demo", study)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "ganvas demo: interrupted\n"


class Unforeseen(Exception):
    """Exception of another package."""


def broken(**settings: object) -> str:
    """Fail."""
    raise Unforeseen("two\nlines \x1b[31m")


class Unshowable:
    """Result that cannot be printed."""

    def __str__(self) -> str:
        raise Unforeseen


def unshowable(**settings: object) -> Unshowable:
    """Return a result that cannot be printed."""
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
    assert r"unexpected Unforeseen: two\nlines \x1b[31m; the full traceback is in " in shown.err
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
    told = report_crash(["locate"], Unforeseen("x"), cache_folder=cache_folder)
    (trace,) = (tmp_path / "temporary" / "ganvas-crashes").iterdir()
    assert str(trace) in told
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert "the full traceback could not be written" in report_crash(
        ["locate"], Unforeseen("x"), cache_folder=cache_folder
    )


def test_old_traces_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    monkeypatch.setattr(terminal, "MOST", 2)
    for _ in range(4):
        report_crash(["locate"], Unforeseen("x"), cache_folder=cache_folder)
    assert len(list((tmp_path / "crashes").iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="a pipe without a reader")
def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from ganvas.cli import _print; _print('x' * 100); sys.exit(5)"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (5, b"")


def test_an_interruption_of_the_imports_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "tyro.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(ganvas.__file__).parents[1])])}
    words = [sys.executable, "-m", "ganvas", "translate", "run", "in", "out"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "ganvas: interrupted\n")


@pytest.fixture
def default_handlers() -> Iterator[None]:
    """Python's own handlers: a shell starts programs in the background with SIGINT ignored, which they respect."""
    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_swallowed_interrupt_is_no_other_error(number: signal.Signals, default_handlers: None) -> None:
    """A library catches the interrupt and fails in another way, as PyTorch's imports do."""

    def fail(*, interrupted: bool) -> None:
        if interrupted:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(number)
        raise ExportError("PyTorch cannot export the run")

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), as_interrupts():
        fail(interrupted=True)
    with pytest.raises(ExportError, match="cannot export"), as_interrupts():
        fail(interrupted=False)
    assert signal.getsignal(number) == before


def test_a_command_that_fails_after_ctrl_c_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], default_handlers: None
) -> None:
    def call(verb: str, words: list[str]) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ExportError("PyTorch cannot export the run")

    monkeypatch.setattr(cli, "_call", call)
    assert cli.main(["export", "run", "out.onnx"]) == 130
    assert capsys.readouterr().err == "ganvas export: interrupted\n"
