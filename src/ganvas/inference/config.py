"""Configs of `translate` and `sample`; imports no torch, because the command line reads them."""

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
"""Runtime that executes a network."""


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Settings that apply to films only; `TranslateConfig` describes each."""

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
    """Run folder, or an .onnx file of a network from a picture to a picture."""
    source: Path
    """A picture, a film (also a GIF, WebP or PNG animation) or a folder."""
    out: Path
    """Output folder; for one picture or film also an output file."""
    _: KW_ONLY
    mask: Path | None = None
    """Mask, or a folder with one mask per picture, at the same relative path in any format: only pixels under white are
    replaced."""
    tile: int | None = None
    """Side of the tiles in which large pictures are processed; unset: whole pictures."""
    overlap: int | None = None
    """Overlap of the tiles on each side in pixels; unset: as much as exact results need."""
    suffix: str | None = None
    """Output format, such as .tif or .mkv; unset: that of each picture or film."""
    recursive: bool = False
    """Include subfolders of the source, with the same structure in the output."""
    snapshot: SnapshotName = "auto"
    """Snapshot: the best by validation, the last, or auto, the best if it exists, else the last."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seed: int = 0
    """Seed of the method's noise."""
    precision: PrecisionChoice = "float32"
    """Precision of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs with
    such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32."""
    direction: Direction = "a_to_b"
    """b_to_a translates in the reverse direction, for methods that learn both, such as CycleGAN."""
    runtime: Runtime = "auto"
    """Runtime that executes the network. onnxruntime and openvino first export a run into the cache folder and need the
    extra `export`; auto is torch for runs and onnxruntime for ONNX files."""
    sound: bool = True
    """Copy the sound tracks of films."""
    codec: str | None = None
    """Codec of films, such as h264, hevc, vp9, av1 or ffv1; unset: the film's own or the nearest."""
    crf: int | None = None
    """Quality of films, smaller is better; unset: 18, visually lossless; a lossless codec stays lossless."""
    preview: float | None = None
    """Translate only the first N seconds of a film."""
    skip_damaged: bool = False
    """Replace a damaged frame by the previous one, and list it; otherwise a damaged frame is an error."""
    backend: Backend = "local"
    """This process (local), or the workers of a Ray cluster (ray), for very large folders; needs Ray Data."""
    workers: int | None = None
    """Number of Ray workers; unset: one per core, or one per GPU."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {"film": tuple(one.name for one in fields(FilmOptions))}
    """Heading of the help -> the fields below it."""

    def __post_init__(self) -> None:
        _ = self.film  # its constructor checks them
        check_workers(self.backend, self.workers)
        check_threads(self.threads)

    @property
    def film(self) -> FilmOptions:
        """Return the settings that apply to films only."""
        return FilmOptions(**{one.name: getattr(self, one.name) for one in fields(FilmOptions)})


@dataclass(frozen=True)
class SampleConfig:
    """Sampling of pictures from noise."""

    run: Path
    """Run folder."""
    out: Path
    """Output folder: new, empty, or of an interrupted `sample` with the same settings. Methods that sample two sides
    write pairs of equal names into OUT/a and OUT/b."""
    _: KW_ONLY
    count: int = 64
    """Number of pictures of each side."""
    seed: int = 0
    """Seed of the noise; a picture depends only on the seed and its number."""
    suffix: str | None = None
    """Output format, such as .tif; unset: .png if it supports the pictures, else .tif."""
    snapshot: SnapshotName = "auto"
    """Snapshot: the best by validation, the last, or auto, the best if it exists, else the last."""
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
