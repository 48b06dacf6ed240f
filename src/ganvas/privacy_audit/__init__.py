"""Privacy audit of covers against attacks and retrained classifiers, and its config; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads

SIZE_MULTIPLE = 16
"""Number of which sizes must be multiples: the restorer downsamples a picture four times."""


FOLDER_SETTINGS = ("style", "sigmas", "size", "minutes", "steps", "seed")
"""Names of settings that apply only to folders of pictures."""
FILM_SETTINGS = ("box", "detections", "frames", "clips", "run")
"""Names of settings that apply only to films."""


@dataclass(frozen=True)
class AuditConfig:
    """Privacy audit: pictures, covers and attackers."""

    folder: Path
    """A folder with one folder of pictures for each kind; or with train and test, which contain such folders; or a
    film."""
    _: KW_ONLY
    out: Path
    """Output folder."""
    style: tuple[Literal["mosaic", "blur", "solid"], ...] = ("mosaic",)
    """Styles of covers: mosaic, blur, solid."""
    blocks: tuple[int, ...] = (32, 16, 8, 4)
    """Mosaic blocks across the picture, or across the longer side of a film's region."""
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)
    """Blur sigmas in pixels of a picture of `size`."""
    size: int = 128
    """Side in pixels to which every picture is resized; a multiple of 16."""
    minutes: float = 0.0
    """Training time of the restorer of each cover, in minutes; 0: none."""
    steps: int = 800
    """Training steps of the small classifier."""
    seed: int = 0
    """Seed of the split, the networks and their batches."""
    box: tuple[int, int, int, int] | None = None
    """Films: the region (left top right bottom) in the middle frame of each clip; unset: the middle half."""
    detections: Path | None = None
    """Films: detections written by `ganvas locate FILM`; the largest one in a clip's middle frame is the region."""
    frames: int = 30
    """Films: number of frames of a clip, which are fused."""
    clips: int = 4
    """Films: number of clips, evenly spaced over the film."""
    run: Path | None = None
    """Films: run of a trained restorer as an additional attack."""
    device: str = "auto"
    """Device of the restorers: auto, cpu, cuda, cuda:1 or mps."""
    threads: int | None = None
    """Number of CPU threads; unset: the fastest number."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {"film": FILM_SETTINGS}
    """Heading of the help -> the fields below it."""

    def __post_init__(self) -> None:
        if self.size < SIZE_MULTIPLE or self.size % SIZE_MULTIPLE:
            raise ConfigError(f"size {self.size} must be a multiple of {SIZE_MULTIPLE}, such as 128")
        if self.minutes < 0 or self.steps < 1:
            raise ConfigError(f"minutes {self.minutes} must not be negative, steps {self.steps} must be 1 or more")
        if any(sigma <= 0 for sigma in self.sigmas):
            raise ConfigError(f"sigmas {self.sigmas} must be positive")
        if self.frames < 2 or self.clips < 1:
            raise ConfigError(f"frames {self.frames} must be 2 or more, clips {self.clips} must be 1 or more")
        check_threads(self.threads)

    def refuse(self, names: Sequence[str], why: str) -> None:
        """Raise ConfigError if one of these settings is not at its default."""
        defaults = AuditConfig(self.folder, out=self.out)
        if changed := [name for name in names if getattr(self, name) != getattr(defaults, name)]:
            raise ConfigError(f"omit {', '.join(changed)}: {why}")
