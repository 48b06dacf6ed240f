"""The verb that attacks covers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ganvas.api.words import Threads
from ganvas.hardware.threads import using_threads

if TYPE_CHECKING:
    from ganvas.privacy_audit.result import Audit


def audit(
    folder: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    /,
    *,
    out: Path,
    style: tuple[Literal["mosaic", "blur", "solid"], ...] = ("mosaic",),
    blocks: tuple[int, ...] = (32, 16, 8, 4),
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0),
    size: int = 128,
    minutes: float = 0.0,
    steps: int = 800,
    seed: int = 0,
    device: str = "auto",
    threads: Threads = None,
) -> Audit:
    """Measure how much covers hide: what attacks recover, and what retrained classifiers still recognise.

    Writes report.html, audit.json and grid.png. Ordinary pictures only: all of them pass the content gate.

    Args:
        folder: a folder of pictures for each kind; or such folders in train and in test.
        out: the folder to write.
        style: mosaic, blur, solid.
        blocks: of a mosaic, across the picture.
        sigmas: of a blur, in pixels.
        size: pixels a side that every picture is brought to; a multiple of 16.
        minutes: of training for a restorer of each cover; 0: none.
        steps: of training for the small network that names pictures.
        seed: of the split and of all training.
        device: of the restorers: auto, cpu, cuda, cuda:1 or mps.
        threads: of the CPU to compute with; unset: as many as are fastest.
    """
    from ganvas.privacy_audit.audit import audit as audit_covers
    from ganvas.privacy_audit.config import Terms

    terms = Terms(
        styles=style, blocks=blocks, sigmas=sigmas, size=size, minutes=minutes, steps=steps, seed=seed, device=device
    )
    with using_threads(threads):
        return audit_covers(folder, out, terms)
