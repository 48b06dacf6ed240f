"""`locate_files` with the fields of its config as arguments, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganvas.localization import LocateConfig
from ganvas.localization import locate_files as module
from ganvas.progress import SILENT, Progress


def locate_files(
    photos: Sequence[Path], out: Path, *, progress: Progress = SILENT, **settings: Any
) -> list[dict[str, object]]:
    """Locate like `ganvas locate`."""
    return module.locate_files(LocateConfig(tuple(photos), out=out, **settings), photos, progress=progress)
