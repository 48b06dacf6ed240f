"""Evaluation on pairs, films and super-resolution sets, and comparison of methods; its configs, without torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import check_threads
from ganvas.methods.config import Direction
from ganvas.runs import SnapshotName

LOADED, CROPPED = 286, 256
"""Load size and crop size of both papers (Isola et al. 2017, Sec. 6.2)."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation of a trained run on pairs, or of a film against its ground truth."""

    run: Path
    """Run folder or .onnx file; or a film, such as a result of `translate`."""
    _: KW_ONLY
    data: Path | None = None
    """Folder of pairs with the layout of the training data; unset: the training data. For a film, the ground truth."""
    input: Path | None = None
    """For a film, the film that was translated, as a baseline."""
    split: Literal["auto", "train", "val", "test"] = "auto"
    """Split of the data; auto: test if it exists, else val."""
    out: Path | None = None
    """Output folder; unset: evaluation/SPLIT in the run folder, or FILM-evaluation beside a film."""
    snapshot: SnapshotName = "auto"
    """Snapshot: the best by validation, the last, or auto, the best if it exists, else the last."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seed: int = 0
    """Seed of the method's noise."""
    direction: Direction = "a_to_b"
    """b_to_a translates in the reverse direction, for methods that learn both."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Comparison of methods under one budget, with their common settings; each recipe determines the others."""

    data: Path
    """Folder of pairs (train/a and train/b) or of two unpaired sides (trainA and trainB), with a test or a val
    split."""
    methods: tuple[str, ...]
    """Recipes, such as cyclegan cut pix2pix; on pairs, methods for unpaired data ignore the pairing."""
    out: Path
    """Output folder."""
    minutes: float | None = None
    """Training time per method."""
    epochs: float | None = None
    """Passes over the training pictures; unset: those of the recipe, which --minutes may end earlier."""
    crop_size: tuple[int, int] = (128, 128)
    """Height and width of training crops and of the measured pictures."""
    load_size: tuple[int, int] | None = None
    """Height and width before cropping; unset: 286/256 of the crop size."""
    direction: Direction = "a_to_b"
    """Direction of pairs; b_to_a translates b to a."""
    width: int | None = None
    """Channels of the first layers, for methods with such a setting."""
    batch_size: int | None = None
    """Number of pictures per step; unset: that of each recipe."""
    precision: PrecisionChoice | None = None
    """Precision of the forward passes; auto: bfloat16 if it is fast on this machine; unset: that of each recipe."""
    pictures: int = 200
    """Largest number of test pictures per side, evenly spaced."""
    seed: int = 0
    """Seed of every run."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: the fastest number."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.epochs is None:
            raise ConfigError(
                "a comparison needs a budget: set minutes, epochs, or both (training ends at the first limit)"
            )
        if self.pictures < 2:
            raise ConfigError(f"pictures {self.pictures} must be 2 or more, because distributions are compared")
        check_threads(self.threads)

    @property
    def cached_size(self) -> tuple[int, int]:
        """Return `load_size`, or the crop size scaled as in the papers."""
        height, width = self.crop_size
        return self.load_size or (round(height * LOADED / CROPPED), round(width * LOADED / CROPPED))


@dataclass(frozen=True)
class BenchmarkConfig:
    """Benchmark of trained runs on standard sets of pictures."""

    task: Literal["sr"]
    """Task; sr: super-resolution, with PSNR and SSIM on Y and LPIPS, per picture and as means."""
    runs: tuple[Path, ...] = ()
    """Run folders; none: only nearest-neighbor and bicubic interpolation are measured."""
    _: KW_ONLY
    data: Path
    """Folder that contains a folder of high-resolution pictures for each set, such as Set5, Set14 and BSD100."""
    out: Path
    """Output folder."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    download: bool = False
    """Download the weights of LPIPS if they are missing; otherwise LPIPS is not measured."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
