"""SIGTERM and SIGHUP end a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal

import pytest

from ganvas import api, cli
from ganvas.signals import as_interrupts

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
    def study(*, out: str = "x") -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(api, "demo", study)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "ganvas demo: interrupted\n"
