"""Evaluation: a run on pairs, on super-resolution sets, and methods under one budget; its configs. No torch here."""

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
"""Both papers load pictures at the one size and crop the other (Isola et al. 2017, Sec. 6.2)."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation of a trained run on pairs, or of a film against the true one."""

    run: Path
    """The run folder, or an .onnx file; or a film, such as one that `translate` made."""
    _: KW_ONLY
    data: Path | None = None
    """A folder of pairs laid out like the training data; unset: the training data's own. For a film the true film."""
    input: Path | None = None
    """For a film the film that it was made from, to compare with."""
    split: Literal["auto", "train", "val", "test"] = "auto"
    """auto is test where there is one, else val."""
    out: Path | None = None
    """Where to write; unset: evaluation/SPLIT in the run folder, or FILM-evaluation beside a film."""
    snapshot: SnapshotName = "auto"
    """The best by validation, the last, or the best where there is one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seed: int = 0
    """Seed of the method's noise."""
    direction: Direction = "a_to_b"
    """b_to_a for the way back, of methods that learn both."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Comparison of methods under one budget: what they share; each recipe gives the rest."""

    data: Path
    """A folder of pairs (train/a and train/b), or of two sides that need not correspond (trainA and trainB), with a
    test or a val split."""
    methods: tuple[str, ...]
    """Recipes, such as cyclegan cut pix2pix; of pairs, those that need none see the two sides apart."""
    out: Path
    """The folder to write."""
    minutes: float | None = None
    """Training time per method."""
    epochs: float | None = None
    """Passes over the training pictures; unset: the recipe's, which the minutes may cut short."""
    crop_size: tuple[int, int] = (128, 128)
    """Height and width of a training crop, and of the pictures measured."""
    load_size: tuple[int, int] | None = None
    """Height and width before cropping; unset: 286/256 of the crop's."""
    direction: Direction = "a_to_b"
    """Direction of pairs; b_to_a translates b to a."""
    width: int | None = None
    """Channels of the first layers, for methods with such a setting."""
    batch_size: int | None = None
    """Pictures a step; unset: each recipe's."""
    precision: PrecisionChoice | None = None
    """Precision of the forward passes, where auto is bfloat16 if that is fast here; unset: each recipe's."""
    pictures: int = 200
    """Measure on at most so many of each side, evenly spread."""
    seed: int = 0
    """Seed of every run."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: as many as are fastest."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.epochs is None:
            raise ConfigError("a comparison needs a budget: give minutes, epochs, or both (the first to end counts)")
        if self.pictures < 2:
            raise ConfigError(f"pictures {self.pictures} must be 2 or more, or no distribution can be measured")
        check_threads(self.threads)

    @property
    def cached_size(self) -> tuple[int, int]:
        """Return `load_size`, or the crop size scaled as in the papers."""
        height, width = self.crop_size
        return self.load_size or (round(height * LOADED / CROPPED), round(width * LOADED / CROPPED))


@dataclass(frozen=True)
class BenchmarkConfig:
    """Benchmark of trained runs on sets of pictures."""

    task: Literal["sr"]
    """sr, super-resolution: PSNR and SSIM on Y and LPIPS, of each picture and in the mean."""
    runs: tuple[Path, ...] = ()
    """Run folders; none for the rows of nearest neighbor and bicubic interpolation alone."""
    _: KW_ONLY
    data: Path
    """A folder with a folder of high-resolution pictures for each set, such as Set5, Set14 and BSD100."""
    out: Path
    """The folder to write."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    download: bool = False
    """Fetch the weights of LPIPS where they are not on this machine; else LPIPS is left out."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
