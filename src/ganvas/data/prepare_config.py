"""How pairs are made from a folder of pictures, as one frozen value. No torch here: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What is taken from each picture, where, and how the pictures are shared out."""

    degrade: Literal["mosaic", "downscale", "blur", "grey", "edges"] = "mosaic"
    """What makes the input (a) from the picture (b)."""
    strength: tuple[float, float] = (8.0, 8.0)
    """Smallest and largest block side or scale in pixels, or blur sigma, drawn for each picture; grey and
    edges have none."""
    where: Literal["everywhere", "classifier", "boxes"] = "everywhere"
    """The whole picture, what a classifier looks at, or the boxes of a file."""
    boxes: Path | None = None
    """For `boxes`: JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV name,left,top,right,bottom."""
    classifier: str = "imagenet"
    """For `classifier`: nsfw, imagenet or the path of an .onnx file."""
    class_name: str | None = None
    """For `classifier`: whose region; pictures that score below `least_score` for it are left out. Unset: the
    likeliest class of each picture."""
    least_score: float = 0.2
    """For a named class: the smallest probability that counts as seen."""
    seed: int = 0
    """Of the splits and the strengths."""
    grouping: bool = True
    """Keep near-duplicates in one split. Off, for different pictures that look alike, such as scans in one frame."""
    val_fraction: float = 0.1
    """Share of the pictures to choose snapshots by."""
    test_fraction: float = 0.1
    """Share of the pictures that training never sees."""

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
            raise ConfigError("where 'boxes' and a boxes file belong together: give --where boxes --boxes FILE")
        if self.class_name is not None and self.where != "classifier":
            raise ConfigError(f"class {self.class_name!r} needs a classifier to look for it: give --where classifier")
        if not 0 <= self.least_score <= 1:
            raise ConfigError(f"least_score {self.least_score} must lie in [0, 1]")
