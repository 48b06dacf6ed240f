"""Annotations that the command signatures share: the metavariables of positional arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

RunFolder = Annotated[Path, tyro.conf.arg(metavar="RUN")]
Source = Annotated[Path, tyro.conf.arg(metavar="SOURCE")]
Out = Annotated[Path, tyro.conf.arg(metavar="OUT")]
Photos = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PHOTO...")]
Checkpoints = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CHECKPOINT...")]
ClassName = Annotated[str | None, tyro.conf.arg(name="class")]
Threads = Annotated[int | None, tyro.conf.arg(metavar="N")]
"""CPU threads to compute with."""
Snapshot = Literal["auto", "best", "last"]
