"""Error tree; each class has the exit code of the command line.

GanvasError                1   anything below; itself, a failure of a Ray cluster or of its workers
├── InputError             2   invalid input that the user can correct (also a ValueError)
│   ├── ImageError         2   a picture that cannot be read, written or used; names the file
│   ├── VideoError         2   a film that cannot be read or written; names the file and the position
│   ├── DataError          2   a data set with an unsuitable layout; names the entries
│   ├── ConfigError        2   a setting out of range
│   └── RunError           2   a run folder or checkpoint that cannot be read
├── PolicyRefusal          3   the content gate refused a picture
├── DivergenceError        4   a loss or weight became NaN or infinite
├── PartialFailure         5   some of many files failed; the others are done
├── MissingDependency      6   an optional package is not installed
├── ExportError            6   a run that cannot be exported, or an export that differs from its run
└── WeightsError           7   pretrained weights cannot be found or do not verify
    └── HubError           7   the Hugging Face Hub cannot be reached, or a download from it does not verify

Cancelled                130   the caller cancelled the work (a KeyboardInterrupt, as Ctrl-C is)

Any other error is a bug in ganvas: exit code 70, one line on the terminal, and the full traceback in a file (`crash`).

A file or folder that cannot be read or written is an OSError, with exit code 2 on the command line.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import ClassVar

from ganvas.terminal import one_line

NO_SPACE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a full disk, a quota, and a limit on the size of files."""


class GanvasError(Exception):
    """Base class of all errors that ganvas raises."""

    exit_code: ClassVar[int] = 1


class InputError(GanvasError, ValueError):
    """Invalid input that the user can correct; the message names the remedy."""

    exit_code = 2


class ImageError(InputError):
    """A picture that cannot be read, written or used.

    Args:
        path: the file, or None for pixels that came from memory.
        problem: what is wrong, and the remedy.
    """

    def __init__(self, path: Path | str | None, problem: str) -> None:
        self.path = None if path is None else Path(path)
        super().__init__(problem if path is None else f"{path}: {problem}")


class VideoError(InputError):
    """A film that cannot be read or written.

    Args:
        path: the file.
        problem: what is wrong, and the remedy.
        frame: index of the frame that caused the error, if a single frame did.
        seconds: time of that frame.
    """

    def __init__(
        self, path: Path | str, problem: str, *, frame: int | None = None, seconds: float | None = None
    ) -> None:
        self.path, self.frame, self.seconds = Path(path), frame, seconds
        at = "" if seconds is None else f" ({seconds:.3f} s)"
        super().__init__(f"{path}: " + ("" if frame is None else f"frame {frame}{at}: ") + problem)


class DataError(InputError):
    """Data set with an unsuitable layout; the message names the entries."""


class ConfigError(InputError):
    """A setting out of its range."""


class RunError(InputError):
    """A run folder or checkpoint that cannot be read."""


class PolicyRefusal(GanvasError):
    """The content gate refused a picture (over the threshold, no model, or any exception).

    Args:
        name: name of the picture.
        reason: reason in one sentence.
        score: score of the classifier in [0, 1]; None if there is none.
    """

    exit_code = 3

    def __init__(self, name: str, reason: str, score: float | None = None) -> None:
        self.name, self.reason, self.score = name, reason, score
        super().__init__(f"{name}: refused: {reason}")

    def as_record(self) -> dict[str, str | float | None]:
        """Return the refusal as a mapping, ready for JSON."""
        return {"refused": self.name, "reason": self.reason, "score": self.score}

    def as_arguments(self) -> dict[str, str | float | None]:
        """Return the arguments that recreate the refusal in another process."""
        return {"name": self.name, "reason": self.reason, "score": self.score}


class DivergenceError(GanvasError):
    """A loss or a weight became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 4


class PartialFailure(GanvasError):
    """Some of many files failed; the others are done.

    Args:
        failures: name -> problem.
        total: number of files.
        done: a sentence on the processed files; empty for none.
    """

    exit_code = 5

    def __init__(self, failures: Mapping[str, str], total: int, *, done: str = "") -> None:
        self.failures, self.total = dict(failures), total
        lines = "\n".join(f"  {_named(name, problem)}" for name, problem in self.failures.items())
        super().__init__(f"{len(self.failures)} of {total} failed:\n{lines}" + (f"\n{done}" if done else ""))


FILE_ERRORS = (GanvasError, OSError, ValueError, RuntimeError, MemoryError)
"""Errors of one of many files that do not stop the others; the last two are raised when memory runs out."""


def problem_of(error: BaseException) -> str:
    """Return an error's message, its class name if that is empty, or file, reason and remedy of a system error."""
    if isinstance(error, OSError) and error.strerror:
        remedy = "; make room, and run the same command again" if error.errno in NO_SPACE_ERRORS else ""
        return (f"{error.filename}: {error.strerror}" if error.filename else error.strerror) + remedy
    return str(error) or type(error).__name__


def _named(name: str, problem: str) -> str:
    """Return the problem after the name, unless it already starts with the file's path."""
    return problem if problem.partition(": ")[0].endswith(name) else f"{one_line(name)}: {problem}"


class MissingDependency(GanvasError):
    """An optional package is not installed; the message gives the command that installs it.

    Args:
        package: name of the package.
        extra: the extra of ganvas that includes it.
        purpose: the feature that needs it.
    """

    exit_code = 6

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: {install_command(extra)}")


class ExportError(GanvasError):
    """A run that cannot be exported, or an exported network that differs from its run; nothing is written."""

    exit_code = 6


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra in supported versions.

    It names the packages themselves: ganvas is installed from a checkout or a wheel, not by its name.
    """
    marker = f"extra == '{extra}'"
    lines = [line.partition(";") for line in requires("ganvas") or []]
    found = [name.strip() for name, _, condition in lines if condition.replace('"', "'").strip() == marker]
    return " ".join(["pip install", *(f"'{name}'" for name in found)])


class WeightsError(GanvasError):
    """Pretrained weights cannot be found or do not verify."""

    exit_code = 7


class HubError(WeightsError):
    """The Hugging Face Hub cannot be reached, or a download from it does not verify; names the repository."""


class Cancelled(KeyboardInterrupt):
    """The caller cancelled the work (`ganvas.progress`); the same command resumes it.

    As with Ctrl-C, the exit code is 130; handlers of errors of single files do not catch it.
    """
