"""Configs of `translate` and `sample`. No torch here: the command line reads them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ganvas.bulk.ray_backend import Backend, check_workers
from ganvas.errors import ConfigError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import check_threads
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName


@dataclass(frozen=True)
class TranslateConfig:
    """Translation of a picture or a folder by a trained run."""

    run: Path
    """The run folder."""
    source: Path
    """A picture or a folder."""
    out: Path
    """A folder; for one picture also the file to write."""
    _: KW_ONLY
    mask: Path | None = None
    """A picture, or a folder with one of each stem: only what is white in it is replaced."""
    tile: int | None = None
    """Largest side that the network is given at once; unset: whole pictures."""
    overlap: int | None = None
    """Surroundings that each tile sees on each side; unset: as much as exactness needs."""
    suffix: str | None = None
    """Write this format, such as .tif, instead of each picture's own."""
    recursive: bool = False
    """Include folders below the source, laid out alike in the output."""
    snapshot: SnapshotName = "auto"
    """The best by validation, the last, or the best where there is one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seed: int = 0
    """Seed of the method's noise."""
    precision: PrecisionChoice = "float32"
    """Precision of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs with
    such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32."""
    direction: Direction = "a_to_b"
    """b_to_a for the way back, of methods that learn both, such as CycleGAN."""
    backend: Backend = "local"
    """This process (local), or the workers of a Ray cluster (ray), for very large folders; needs Ray Data."""
    workers: int | None = None
    """Ray workers; unset: one a core, or one a GPU."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_workers(self.backend, self.workers)
        check_threads(self.threads)


@dataclass(frozen=True)
class SampleConfig:
    """Sampling of pictures from noise."""

    run: Path
    """The run folder."""
    out: Path
    """A new or empty folder; of a method that draws two sides OUT/a and OUT/b, where names belong together."""
    _: KW_ONLY
    count: int = 64
    """Pictures of each side."""
    seed: int = 0
    """Seed of the noise; a picture depends only on it and its number."""
    suffix: str | None = None
    """Write this format, such as .tif; unset: .png where it can hold the pictures, else .tif."""
    snapshot: SnapshotName = "auto"
    """The best by validation, the last, or the best where there is one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    precision: PrecisionChoice = "float32"
    """Precision of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs with
    such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count {self.count} must be at least 1")
        check_threads(self.threads)
