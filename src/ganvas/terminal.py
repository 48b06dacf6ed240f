"""Terminal output and signals: escaped control characters, and SIGTERM and SIGHUP as Ctrl-C."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["as_interrupts", "one_line", "printable"]

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1: escape sequences begin with them
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators, and what turns the direction of writing
    "\ud800-\udfff]"  # bytes of a name that are no UTF-8
)


def printable(text: str) -> str:
    r"""Return the text with its control characters as escapes, such as \x1b; newlines and tabs stay."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Return printable text with newlines and tabs as \n and \t: for names, which can contain them."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


NAMES = ("SIGTERM", "SIGHUP")
"""Windows has no SIGHUP."""


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP inside the block; signals that are ignored stay so (`nohup`)."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
