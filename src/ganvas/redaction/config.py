"""Config of `redact`. No torch here: the command line reads it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.bulk.ray_backend import Backend, check_workers
from ganvas.hardware.threads import check_threads


@dataclass(frozen=True)
class RedactConfig:
    """Redaction of a picture or a folder."""

    source: Path
    """A picture, or a folder, folders in it included."""
    out: Path
    """A folder; for one picture also the file to write."""
    _: KW_ONLY
    classifier: str | None = None
    """nsfw, imagenet or the path of an .onnx file: finds regions and verifies the result."""
    class_name: str | None = None
    """Class to cover; nsfw needs none."""
    boxes: Path | None = None
    """Boxes in pixels: JSON {"name.jpg": [[left, top, right, bottom], ...]}, [] for none, or CSV lines
    name,left,top,right,bottom, the name alone for none."""
    mask: Path | None = None
    """A mask for all, or a folder of masks by stem; all that is not black is covered."""
    style: Literal["solid", "mosaic", "blur"] = "solid"
    """solid hides; mosaic and blur are cosmetic, and classifiers trained on covered pictures see through them."""
    blocks: int | None = None
    """Blocks of a mosaic across the region's longer side."""
    block_size: int | None = None
    """Block side of a mosaic in pixels, instead of blocks."""
    sigma: float | None = None
    """Standard deviation of a blur in pixels."""
    pass_score: float | None = None
    """Largest score that counts as gone; unset: 0.2."""
    coverage: float | None = None
    """Share, up to 1, of the evidence for the class that the first region covers; unset: 0.9. A larger share covers
    more of the object, and more beside it."""
    log: Path | None = None
    """Folder for the redaction log; unset: OUT, where it holds no hash of the originals."""
    backend: Backend = "local"
    """This process (local), or the workers of a Ray cluster (ray), for very large folders; needs Ray Data."""
    workers: int | None = None
    """Ray workers; unset: one a core."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_workers(self.backend, self.workers)
        check_threads(self.threads)
