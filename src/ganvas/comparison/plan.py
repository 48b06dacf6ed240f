"""Plan of a comparison: its configuration, runs and test pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate import admit_many, check_share
from ganvas.data.cache import Cache, UnpairedCache, agree_across_splits, build_cache, build_unpaired_cache
from ganvas.data.config import DataConfig, PairedData, UnpairedData
from ganvas.data.decode import evaluation_size
from ganvas.data.layouts import Split, find_entries
from ganvas.data.memmap import Side
from ganvas.errors import ConfigError, DataError, PolicyRefusal
from ganvas.evaluation.pictures import choose_split, evenly
from ganvas.hardware import PrecisionChoice
from ganvas.image.picture import Picture, PictureSpec
from ganvas.methods.config import Direction, Domain
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.weights import cache_folder

LOADED, CROPPED = 286, 256
"""Both papers load pictures at the one size and crop the other (Isola et al. 2017, Sec. 6.2)."""
WIDTHS = ("width", "discriminator_width")
"""Settings of methods that say how wide their networks are."""
Rgb = NDArray[np.uint8]
"""(H, W, 3)."""
Sides = dict[Domain, dict[str, Picture]]
"""Side -> name -> picture."""
Specs = dict[Domain, PictureSpec]
"""Side -> what its numbers mean."""
SIDES: dict[Direction, tuple[Domain, Domain]] = {"a_to_b": ("a", "b"), "b_to_a": ("b", "a")}
"""Direction -> the side translated, and the one that it becomes."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What every method of a comparison is given alike; the rest is its recipe's."""

    data: Path
    """A folder of pairs (train/a and train/b), or of two sides that need not correspond (trainA and trainB)."""
    minutes: float | None = None
    """Of training, for each."""
    epochs: float | None = None
    """Passes over the training pictures; unset: the recipe's, which the minutes may cut short."""
    crop_size: tuple[int, int] = (128, 128)
    """Height and width of a training crop, and of the pictures measured."""
    load_size: tuple[int, int] | None = None
    """Height and width in the cache; unset: 286/256 of the crop's."""
    direction: Direction = "a_to_b"
    """Of pairs: which side is given and which is made."""
    width: int | None = None
    """Channels of the first layers, of the methods that have such a setting."""
    batch_size: int | None = None
    """Unset: each recipe's."""
    precision: PrecisionChoice | None = None
    """Unset: each recipe's."""
    seed: int = 0
    """Of every run."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.epochs is None:
            raise ConfigError("a comparison needs a budget: give minutes, epochs, or both (what is over first counts)")

    @property
    def cached_size(self) -> tuple[int, int]:
        """`load_size`, or as much larger than a crop as in the papers."""
        height, width = self.crop_size
        return self.load_size or (round(height * LOADED / CROPPED), round(width * LOADED / CROPPED))


def plan_data(terms: Terms) -> DataConfig:
    """The data as they are measured: pairs where the folder holds pairs, else two sides.

    Raises:
        ConfigError: two sides that need not correspond cannot be turned round.
    """
    if why_unpaired(terms.data) is None:
        return PairedData(
            folder=terms.data, direction=terms.direction, load_size=terms.cached_size, crop_size=terms.crop_size
        )
    if terms.direction == "b_to_a":
        raise ConfigError(f"{terms.data} holds no pairs, so there is no direction: let its folders change their names")
    return UnpairedData(folder=terms.data, load_size=terms.cached_size, crop_size=terms.crop_size)


def why_unpaired(folder: Path) -> str | None:
    """None where the training pictures are pairs; else what is missing for that."""
    try:
        find_entries(PairedData(folder=folder), "train")
    except DataError as error:
        return str(error)
    return None


def plan_runs(recipes: Sequence[str], terms: Terms) -> dict[str, RunConfig]:
    """Recipe -> run, in the order given; all that can be known to be wrong before training is said here.

    Raises:
        ConfigError: no recipe of that name, one twice, none at all, or one that needs pairs where there are none.
    """
    if unknown := [name for name in recipes if name not in RECIPES]:
        raise ConfigError(f"there is no recipe {', '.join(unknown)}; recipes: {', '.join(RECIPES)}")
    if not recipes or len(set(recipes)) < len(recipes):
        raise ConfigError(f"give one or more methods, each once; recipes: {', '.join(RECIPES)}")
    data = plan_data(terms)
    return {name: _plan_run(name, data, terms) for name in recipes}


def _plan_run(recipe: str, data: DataConfig, terms: Terms) -> RunConfig:
    config = RECIPES[recipe]()
    needs_pairs = getattr(config.method, "paired", True)
    if isinstance(data, PairedData):
        data = replace(data, aligned=needs_pairs)
    elif needs_pairs:
        raise ConfigError(f"{recipe} learns from pairs, and there are none: {why_unpaired(terms.data)}")
    data = replace(data, folder=data.folder.absolute())  # means the same wherever the run is gone on with
    return RunConfig(
        method=with_width(config.method, terms.width), data=data, training=_training(config.training, terms)
    )


def with_width(method: Any, width: int | None) -> Any:
    """The method's settings with that many channels, where it has settings for them."""
    names = [field.name for field in fields(method) if field.name in WIDTHS]
    return method if width is None else replace(method, **dict.fromkeys(names, width))


def _training(recipe: TrainingConfig, terms: Terms) -> TrainingConfig:
    return replace(
        recipe,
        epochs=recipe.epochs if terms.epochs is None else terms.epochs,
        minutes=terms.minutes,
        batch_size=recipe.batch_size if terms.batch_size is None else terms.batch_size,
        precision=terms.precision or recipe.precision,
        seed=terms.seed,
        device=terms.device,
    )


@dataclass(frozen=True)
class TestPictures:
    """Both sides of the split that is measured, evenly thinned, past the content gate.

    Attributes:
        split: test, or val where there is no test.
        sides: name -> picture of each side; of pairs, the same names on both.
        specs: what the numbers of each side mean.
        paired: whether side b holds the targets of side a.
        refused: name -> why the content gate refuses the picture.
    """

    __test__ = False  # no test, though named like one

    split: Split
    sides: Sides
    specs: Specs
    paired: bool
    refused: dict[str, str] = field(default_factory=dict)

    def rgb(self, side: Domain) -> list[Rgb]:
        """All pictures of a side, for a classifier."""
        return [picture.as_rgb8() for picture in self.sides[side].values()]


def open_test_pictures(data: DataConfig, *, limit: int) -> TestPictures:
    """At most `limit` pictures of each side, at the size that the data settings give.

    Raises:
        DataError: there is no test and no val split, or its pictures cannot be used.
        PolicyRefusal: too many are refused (`ganvas.content_gate.gate.check_share`).
    """
    split = choose_split(data)
    sides, specs = _read(data, split, limit, like=_training_data(data))
    paired, total = isinstance(data, PairedData), sum(map(len, sides.values()))
    refused = {side: _refusals(pictures) for side, pictures in sides.items()}
    check_share([refusal for refusals in refused.values() for refusal in refusals], total)
    for side, refusals in refused.items():
        for other in sides if paired else (side,):
            for refusal in refusals:
                sides[other].pop(refusal.name, None)
    reasons = {refusal.name: refusal.reason for refusals in refused.values() for refusal in refusals}
    return TestPictures(split, sides, specs, paired, reasons)


def training_pictures(data: DataConfig, side: Domain, *, limit: int) -> list[Rgb]:
    """Real pictures of a side that are not measured, at the same size: how near another draw of them comes."""
    alike = _training_data(data)
    return [picture.as_rgb8() for picture in _read(alike, "train", limit, like=alike)[0][side].values()]


def _training_data(data: DataConfig) -> DataConfig:
    """The settings by which training pictures come at the size of the measured ones."""
    size = evaluation_size(data)
    return replace(data, load_size=size, crop_size=size) if data.resize == "stretch" else data


def _read(data: DataConfig, split: Split, limit: int, *, like: DataConfig) -> tuple[Sides, Specs]:
    """The split's pictures, gray ones repeated where those that training reads (`like`) are in color."""
    cache, training = _open(data, split), _open(like, "train")
    agree_across_splits({"train": training, split: cache})
    a, b = cache.a, cache.b
    return {"a": _thinned(a, limit), "b": _thinned(b, limit)}, {"a": a.spec, "b": b.spec}


def _open(data: DataConfig, split: Split) -> Cache | UnpairedCache:
    folder = cache_folder() / "pictures"
    return (
        build_cache(data, split, folder) if isinstance(data, PairedData) else build_unpaired_cache(data, split, folder)
    )


def _thinned(side: Side, limit: int) -> dict[str, Picture]:
    return {
        side.names[index]: Picture(np.ascontiguousarray(side[index].transpose(1, 2, 0)))
        for index in evenly(len(side), limit)
    }


def _refusals(pictures: dict[str, Picture]) -> list[PolicyRefusal]:
    return [outcome for outcome in admit_many(list(pictures.items())) if isinstance(outcome, PolicyRefusal)]
