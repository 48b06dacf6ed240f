"""Temporary files of killed processes."""

from __future__ import annotations

from pathlib import Path

DEAD = "7ffffffe"
"""Process id that no system assigns."""
LEFTOVERS = (f".x.{DEAD}01234567.png", ".state.0123456789abcdef.safetensors", f".run.{DEAD}01234567")


def fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*LEFTOVERS, ".tmpAbCdE1", ".mine.png", "x.png", ".x.0123.png", ".tmpfile"):
        (folder / name).touch()
