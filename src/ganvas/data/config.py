"""Configs of data sets and of their preparation; imports no torch, because the command line reads them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads

DegradationName = Literal[
    "none", "identity", "mosaic", "downscale", "blur", "gray", "edges", "reduce", "means", "wear", "second_order"
]

REDUCING = ("reduce", "means", "wear", "second_order")
"""Degradations whose result is smaller than the picture; of `second_order` with strength 1 it is as large."""


@dataclass(frozen=True, kw_only=True)
class PairedData:
    """Paired data: two folders matched by stem, side-by-side files, or single pictures degraded on the fly."""

    folder: Path = Path("data")
    """Folder with `train` and, optionally, `val` and `test`, in the given `layout`. For `single` also a film, or a
    folder with films, whose scenes are assigned to the splits."""
    layout: Literal["auto", "folders", "side_by_side", "single"] = "auto"
    """`folders`: train/a and train/b (or A and B), by stem; `side_by_side`: a left, b right in one file; `single`: each
    picture, or frame of a film, is b, and `degrade` creates a from it."""
    direction: Literal["a_to_b", "b_to_a"] = "a_to_b"
    """Direction of translation. Loaders orient the pair, so that a batch's `a` is always the source."""
    degrade: DegradationName = "none"
    """For `single`: degradation that creates the input from the picture, sampled again in each epoch; `identity` keeps
    the picture, for methods that reconstruct, such as VAEs. For super-resolution: `reduce` downscales by `strength`,
    `means` takes the mean of each block of a mosaic, `wear` also blurs, adds noise and compresses, in a random
    order for each picture, and `second_order` blurs, resizes, adds noise and compresses twice (Real-ESRGAN); its
    strength may be 1."""
    strength: tuple[float, float] = (8.0, 8.0)
    """Smallest and largest strength of the degradation: block size or scale in pixels, or blur sigma."""
    resize: Literal["stretch", "shorter_side", "none"] = "stretch"
    """How pictures are resized to `load_size`: both sides, the shorter side (to the smaller number), or not at all."""
    load_size: tuple[int, int] = (286, 286)
    """Height and width in the cache (Isola et al., Sec. 6.2: 286)."""
    crop_size: tuple[int, int] = (256, 256)
    """Height and width of a training crop."""
    evaluation_size: tuple[int, int] | None = None
    """Replaces load_size for val and test, which are never cropped. Unset: crop_size under `stretch`, as in the
    paper (load 286, crop 256, test at 256), else load_size. Set it if crops are small parts of a picture."""
    mirror: bool = True
    """Mirror half of the crops, both sides alike."""
    rotate: bool = False
    """Rotate crops by random multiples of 90 degrees, both sides alike; for pictures without a natural orientation,
    and for restoration. Crops must be square."""
    aligned: bool = True
    """Load pairs together. Off: each side has its own order and crops, as if unpaired, to compare methods that need
    no pairs with methods that do on the same targets."""
    jitter: float = 0.0
    """Largest relative change of brightness and contrast, the same for both sides; 0 disables it."""
    value_range: tuple[float, float] | None = None
    """Values that map to -1 and 1; unset: the natural range of the file's type."""
    frame_step: int | None = None
    """Every N-th frame of a film becomes a picture; unset: about two per second. Near-duplicates are skipped."""
    split_file: Path | None = None
    """JSON {"train": [names], "val": [...], "test": [...]} for a folder without split folders."""

    paired: ClassVar[bool] = True
    """Whether each picture of b is the target of a picture of a."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.split_file is not None:
            object.__setattr__(self, "split_file", Path(self.split_file))
        _check_sizes(self)
        if not 0 <= self.jitter < 1:
            raise ConfigError(f"jitter {self.jitter} must lie in [0, 1)")
        if not 0 < self.strength[0] <= self.strength[1]:
            raise ConfigError(f"strength {self.strength} must be positive and in order")
        if self.degrade in REDUCING:
            _check_reduction(self)
        whole = all(float(end).is_integer() for end in self.strength)
        if self.degrade in ("mosaic", "downscale", *REDUCING) and not whole:
            raise ConfigError(f"strength {self.strength}: {self.degrade} needs whole pixels")
        if self.layout in ("folders", "side_by_side") and self.degrade != "none":
            raise ConfigError(f"layout {self.layout} already contains pairs; --degrade needs layout single")
        if not self.aligned and (self.layout == "single" or self.degrade != "none" or self.jitter > 0):
            raise ConfigError(
                "aligned off needs pairs in files and no jitter: create the pairs with `ganvas prepare` first"
            )
        if self.layout == "single" and self.degrade == "none":
            raise ConfigError(
                "layout 'single' creates the input itself: pass --degrade mosaic, downscale, blur, gray or edges, "
                "or identity for a method that reconstructs"
            )

    @property
    def scale(self) -> int:
        """Return the enlargement factor from source to target, along each side."""
        return int(self.strength[0]) if self.degrade in REDUCING else 1


@dataclass(frozen=True, kw_only=True)
class UnpairedData:
    """Unpaired data: two folders of pictures that need not correspond.

    The class variables are constants for settings of `PairedData`, so that cache, loader and splits serve both.
    """

    paired: ClassVar[bool] = False
    aligned: ClassVar[bool] = False
    layout: ClassVar[Literal["unpaired"]] = "unpaired"
    direction: ClassVar[Literal["a_to_b"]] = "a_to_b"
    degrade: ClassVar[DegradationName] = "none"
    strength: ClassVar[tuple[float, float]] = (1.0, 1.0)
    scale: ClassVar[int] = 1
    jitter: ClassVar[float] = 0.0
    split_file: ClassVar[None] = None

    folder: Path = Path("data")
    """Folder with trainA and trainB, or train/a and train/b; likewise val and test."""
    resize: Literal["stretch", "shorter_side", "none"] = "stretch"
    """How pictures are resized to `load_size`: both sides, the shorter side (to the smaller number), or not at all."""
    load_size: tuple[int, int] = (286, 286)
    """Height and width in the cache (the released code's 286)."""
    crop_size: tuple[int, int] = (256, 256)
    """Height and width of a training crop."""
    evaluation_size: tuple[int, int] | None = None
    """Replaces load_size for val and test, which are never cropped. Unset: crop_size under `stretch`, else
    load_size. Set it if crops are small parts of a picture."""
    mirror: bool = True
    """Mirror half of the crops, each side independently."""
    rotate: bool = False
    """Rotate crops by random multiples of 90 degrees, each side independently; for pictures without a natural
    orientation. Crops must be square."""
    value_range: tuple[float, float] | None = None
    """Values that map to -1 and 1; unset: the natural range of the file's type."""
    frame_step: int | None = None
    """Every N-th frame of a film becomes a picture; unset: about two per second. Near-duplicates are skipped."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        _check_sizes(self)


DataConfig = PairedData | UnpairedData
"""Data of a run."""


def idle_data_settings(data: DataConfig) -> dict[str, str]:
    """Return setting -> the choice that makes it have no effect."""
    found: dict[str, str] = {}
    if data.resize == "none":
        found = dict.fromkeys(("load_size", "evaluation_size"), "resize none")
    if data.degrade in ("none", "identity", "gray", "edges"):
        found["strength"] = f"degrade {data.degrade}"
    return found


def _check_reduction(data: PairedData) -> None:
    """Require one factor that divides the crop, and direction a_to_b."""
    scale, least = data.strength[0], 1 if data.degrade == "second_order" else 2
    if data.strength[1] != scale or scale < least:
        raise ConfigError(f"strength {data.strength}: {data.degrade} takes one factor of {least} or more, such as 4 4")
    if any(side % scale for side in data.crop_size):
        raise ConfigError(f"crop_size {data.crop_size} must be a multiple of the factor {scale:g} of {data.degrade}")
    if data.direction == "b_to_a":
        raise ConfigError(f"{data.degrade} gives inputs smaller than the picture: use direction a_to_b")


def _check_sizes(data: DataConfig) -> None:
    """Require consistent sizes and an ordered value range."""
    if min(data.crop_size) < 1 or min(data.load_size) < 1:
        raise ConfigError(f"load_size {data.load_size} and crop_size {data.crop_size} must be positive")
    if data.resize == "stretch" and any(c > l for c, l in zip(data.crop_size, data.load_size, strict=True)):
        raise ConfigError(f"crop_size {data.crop_size} exceeds load_size {data.load_size}; make load_size larger")
    if data.resize == "shorter_side" and max(data.crop_size) > min(data.load_size):
        raise ConfigError(f"crop_size {data.crop_size} exceeds the shorter side {min(data.load_size)}")
    if data.rotate and data.crop_size[0] != data.crop_size[1]:
        raise ConfigError(f"rotate needs square crops, not crop_size {data.crop_size}")
    if data.evaluation_size is not None and min(data.evaluation_size) < 1:
        raise ConfigError(f"evaluation_size {data.evaluation_size} must be positive")
    if data.frame_step is not None and data.frame_step < 1:
        raise ConfigError(f"frame_step {data.frame_step} must be at least 1, every frame")
    if data.value_range is not None and not data.value_range[0] < data.value_range[1]:
        raise ConfigError(f"value_range {data.value_range} must be in order")


@dataclass(frozen=True)
class PrepareConfig:
    """Preparation of training pairs: the pictures, the degradation, its regions, and the splits."""

    source: Path
    """Folder of pictures, including its subfolders."""
    out: Path
    """Output folder."""
    _: KW_ONLY
    degrade: Literal["mosaic", "downscale", "blur", "gray", "edges"] = "mosaic"
    """Degradation that creates the input (a) from the picture (b)."""
    strength: tuple[float, float] = (8.0, 8.0)
    """Smallest and largest block side or scale in pixels, or blur sigma, drawn for each picture; gray and
    edges have none."""
    where: Literal["everywhere", "classifier", "boxes"] = "everywhere"
    """Region: the whole picture, the class activation map of a classifier, or the boxes of a file."""
    boxes: Path | None = None
    """For `boxes`: JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV name,left,top,right,bottom."""
    classifier: str = "imagenet"
    """For `classifier`: nsfw, imagenet or the path of an .onnx file."""
    class_name: str | None = None
    """For `classifier`: class whose region is degraded; pictures that score below `least_score` are left out. Unset:
    the most likely class of each picture."""
    least_score: float = 0.2
    """For a named class: the smallest probability at which the class counts as found."""
    seed: int = 0
    """Seed of the splits and the strengths."""
    grouping: bool = True
    """Keep near-duplicates in one split. Turn off for different pictures of one layout, such as scans in a frame."""
    val_fraction: float = 0.1
    """Fraction of the pictures for validation."""
    test_fraction: float = 0.1
    """Fraction of the pictures for the test, never seen in training."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        if not 0 < self.strength[0] <= self.strength[1]:
            raise ConfigError(f"strength {self.strength} must be positive and in order")
        if self.degrade in ("mosaic", "downscale") and not all(float(end).is_integer() for end in self.strength):
            raise ConfigError(f"strength {self.strength}: {self.degrade} needs whole pixels")
        if min(self.val_fraction, self.test_fraction) < 0 or self.val_fraction + self.test_fraction >= 1:
            raise ConfigError(
                f"val_fraction {self.val_fraction} and test_fraction {self.test_fraction} leave nothing to train on"
            )
        if (self.where == "boxes") != (self.boxes is not None):
            raise ConfigError("where 'boxes' requires a boxes file and the reverse: pass --where boxes --boxes FILE")
        if self.class_name is not None and self.where != "classifier":
            raise ConfigError(f"class {self.class_name!r} needs a classifier: pass --where classifier")
        if not 0 <= self.least_score <= 1:
            raise ConfigError(f"least_score {self.least_score} must lie in [0, 1]")
        check_threads(self.threads)
