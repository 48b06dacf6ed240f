"""Configs of `translate` and `sample`. No torch here: the command line reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

from ganvas.bulk.ray_backend import Backend, check_workers
from ganvas.errors import ConfigError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import check_threads
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName

Runtime = Literal["auto", "torch", "onnxruntime", "openvino"]
"""What computes a network."""


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Settings of films alone; `TranslateConfig` describes each."""

    sound: bool = True
    codec: str | None = None
    crf: int | None = None
    preview: float | None = None
    skip_damaged: bool = False

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise ConfigError(f"crf {self.crf} must lie in 0..63; 18 is visually lossless")
        if self.preview is not None and not self.preview > 0:
            raise ConfigError(f"preview {self.preview} must be more than 0 seconds")


@dataclass(frozen=True)
class TranslateConfig:
    """Translation of a picture, a film or a folder by a trained run or an ONNX file."""

    run: Path
    """The run folder; or an .onnx file with one picture in and one out."""
    source: Path
    """A picture, a film (also a GIF, WebP or PNG animation) or a folder."""
    out: Path
    """A folder; for one picture or film also the file to write."""
    _: KW_ONLY
    mask: Path | None = None
    """A picture, or a folder with one of each stem: only what is white in it is replaced."""
    tile: int | None = None
    """Largest side that the network is given at once; unset: whole pictures."""
    overlap: int | None = None
    """Surroundings that each tile sees on each side; unset: as much as exactness needs."""
    suffix: str | None = None
    """Write this format, such as .tif or .mkv, instead of each picture's or film's own."""
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
    runtime: Runtime = "auto"
    """What computes the network. onnxruntime and openvino export a run first, into the cache folder, and need the extra
    `export`; auto is torch for runs and onnxruntime for ONNX files."""
    sound: bool = True
    """Copy the sound tracks of films."""
    codec: str | None = None
    """Codec of films, such as h264, hevc, vp9, av1 or ffv1; unset: the film's own or the nearest."""
    crf: int | None = None
    """Quality of films, smaller is better; unset: 18, visually lossless, or nothing lost for a lossless codec."""
    preview: float | None = None
    """Translate only so many seconds from the beginning of a film."""
    skip_damaged: bool = False
    """Let the frame before stand in for a damaged frame, and list it; else a damaged frame is an error."""
    backend: Backend = "local"
    """This process (local), or the workers of a Ray cluster (ray), for very large folders; needs Ray Data."""
    workers: int | None = None
    """Ray workers; unset: one a core, or one a GPU."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {"film": tuple(one.name for one in fields(FilmOptions))}
    """Heading of the help -> the fields below it."""

    def __post_init__(self) -> None:
        _ = self.film  # which checks them
        check_workers(self.backend, self.workers)
        check_threads(self.threads)

    @property
    def film(self) -> FilmOptions:
        """Return the settings of films alone."""
        return FilmOptions(**{one.name: getattr(self, one.name) for one in fields(FilmOptions)})


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
