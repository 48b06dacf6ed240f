"""The folder for what can be made or fetched again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """$GANVAS_CACHE, else the platform's folder for caches with `ganvas` in it; made if missing."""
    if given := os.environ.get("GANVAS_CACHE"):
        folder = Path(given)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ganvas" / "cache"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "ganvas"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganvas"  # set but empty is unset
    folder.mkdir(parents=True, exist_ok=True)
    return folder
