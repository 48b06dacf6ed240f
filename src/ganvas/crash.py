"""Crash reports: tracebacks of unexpected errors, written to a file instead of the terminal."""

from __future__ import annotations

import platform
import shlex
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from ganvas.terminal import one_line
from ganvas.weights import cache_folder

__all__ = ["EXIT_CODE", "report_crash"]

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""
FOLDER_NAME = "crashes"
MOST = 20
"""Largest number of stored traces."""
SHOWN = 200
"""Characters of the command, and of the error's text, in the message."""


def report_crash(words: Sequence[str], error: BaseException) -> str:
    """Write the full traceback of an unexpected error, and return a one-line message.

    Args:
        words: the command, from the verb on.
        error: the unexpected error.
    """
    text = f"unexpected {type(error).__name__}: {error}" if str(error) else f"unexpected {type(error).__name__}"
    path = _write_trace(words, error)
    where = f"the full trace is in {path}" if path else "the full trace could not be written"
    command = shlex.join(words)
    return f"ganvas {_short(command)}: {_short(text)}; {where}. Please report it: this is a fault of ganvas"


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _write_trace(words: Sequence[str], error: BaseException) -> Path | None:
    """Write to the cache folder, else to the temporary folder; return None where neither is writable."""
    head = f"ganvas {version('ganvas')}, Python {platform.python_version()}, {platform.platform()}\n"
    lines = [head, f"ganvas {shlex.join(words)}\n\n", *traceback.format_exception(error)]
    text = "".join(lines).encode(errors="backslashreplace")
    for folder in (_cache, _temporary):
        try:
            home = folder()
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


def _cache() -> Path:
    return cache_folder() / FOLDER_NAME


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"ganvas-{FOLDER_NAME}"
