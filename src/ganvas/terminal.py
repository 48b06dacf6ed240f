"""Terminal output, signals and crash reports: escaped control characters, SIGTERM as Ctrl-C, tracebacks in files."""

from __future__ import annotations

import platform
import re
import shlex
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["CRASH_EXIT_CODE", "as_interrupts", "one_line", "printable", "report_crash"]

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1: start characters of escape sequences
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators, and characters that change the text direction
    "\ud800-\udfff]"  # bytes of a name that are not UTF-8
)


def printable(text: str) -> str:
    r"""Escape the control characters of a text, such as \x1b; newlines and tabs are kept."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Escape control characters including newlines and tabs, which names can contain."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the handled signals; Windows has no SIGHUP."""


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP inside the block, as on Ctrl-C; ignored signals stay ignored.

    A library can swallow the interrupt, in an import for example, and fail later for want of what it interrupted. A
    block that fails after an interrupt therefore raises KeyboardInterrupt.
    """
    before: dict[int, Any] = {}
    interrupt = _Interrupt()
    if threading.current_thread() is threading.main_thread():
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    except Exception as error:
        if interrupt.seen:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupt:
    """Signal handler that raises KeyboardInterrupt, and remembers that it did."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.seen = True
        raise KeyboardInterrupt


CRASH_EXIT_CODE = 70
"""Exit code of unexpected errors, EX_SOFTWARE of sysexits.h."""
FOLDER_NAME = "crashes"
MOST = 20
"""Largest number of stored traces."""
SHOWN = 200
"""Largest number of characters of the command, and of the error's text, in the message."""


def report_crash(words: Sequence[str], error: BaseException, *, cache_folder: Callable[[], Path]) -> str:
    """Write the full traceback of an unexpected error, and return a one-line message.

    Args:
        words: the command, from the verb on.
        error: the unexpected error.
        cache_folder: function that returns the folder for `crashes/`; the temporary folder is used if it raises
            OSError.
    """
    text = f"unexpected {type(error).__name__}: {error}" if str(error) else f"unexpected {type(error).__name__}"
    path = _write_trace(words, error, cache_folder)
    where = f"the full traceback is in {path}" if path else "the full traceback could not be written"
    command = shlex.join(words)
    return f"ganvas {_short(command)}: {_short(text)}; {where}. This is a bug in ganvas; please report it"


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _write_trace(words: Sequence[str], error: BaseException, cache_folder: Callable[[], Path]) -> Path | None:
    """Write to the cache folder, else to the temporary folder; return None if neither is writable."""
    head = f"ganvas {version('ganvas')}, Python {platform.python_version()}, {platform.platform()}\n"
    lines = [head, f"ganvas {shlex.join(words)}\n\n", *traceback.format_exception(error)]
    text = "".join(lines).encode(errors="backslashreplace")
    for parent, name in ((cache_folder, FOLDER_NAME), (_temporary_folder, f"ganvas-{FOLDER_NAME}")):
        try:
            home = parent() / name
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=home, prefix=time.strftime("%Y%m%d-%H%M%S-"), suffix=".txt", delete=False
            ) as file:
                file.write(text)
            for old in sorted(home.glob("*.txt"))[:-MOST]:
                old.unlink(missing_ok=True)
        except OSError:
            continue
        return Path(file.name)
    return None


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir())
