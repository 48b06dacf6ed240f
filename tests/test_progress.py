"""Bars: one that was told of nothing leaves no trace."""

import pytest

from ganvas.progress import telling


def test_nothing_told_is_nothing_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="too early"), telling():
        raise ValueError("too early")
    assert capsys.readouterr().err == ""


def test_what_is_told_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with telling() as tell:
        tell("reading", 1, 2)
        tell("reading", 2, 2)
    assert "reading" in (shown := capsys.readouterr().err)
    assert "2/2" in shown
