"""`redact_files` with the fields of its config as arguments, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganvas.progress import SILENT, Progress
from ganvas.redaction import redact_files as module
from ganvas.redaction.config import RedactConfig
from ganvas.redaction.redact_files import Redacted


def redact_files(source: Path, out: Path, *, progress: Progress = SILENT, **settings: Any) -> Redacted:
    """Redact like `ganvas redact`."""
    return module.redact_files(RedactConfig(source, out, **settings), progress=progress)
