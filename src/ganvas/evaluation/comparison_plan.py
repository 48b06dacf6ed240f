"""Plan of a comparison: its configuration, runs and test pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate import AdmittedPicture, admit_many, check_share
from ganvas.data.cache import Side, agree_across_splits
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import DataConfig, PairedData, UnpairedData
from ganvas.data.decode import evaluation_size
from ganvas.data.films import held_out_split
from ganvas.data.layouts import Split, find_entries, is_mostly_paired
from ganvas.data.splits import evenly
from ganvas.errors import ConfigError, DataError, PolicyRefusal
from ganvas.evaluation import ComparisonConfig
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import Picture, PictureSpec
from ganvas.methods.config import Direction, Domain
from ganvas.recipes import recipes
from ganvas.training.config import RunConfig, TrainingConfig

WIDTHS = ("width", "discriminator_width")
"""Names of the settings for the width of networks."""
Rgb = NDArray[np.uint8]
"""(H, W, 3)."""
Sides = dict[Domain, dict[str, Picture]]
AdmittedSides = dict[Domain, dict[str, AdmittedPicture]]
"""Side -> name -> picture."""
Specs = dict[Domain, PictureSpec]
"""Side -> picture specification."""
SIDES: dict[Direction, tuple[Domain, Domain]] = {"a_to_b": ("a", "b"), "b_to_a": ("b", "a")}
"""Direction -> source side, target side."""


def plan_data(settings: ComparisonConfig) -> DataConfig:
    """Return the data configuration: pairs if the folder contains pairs, else two unpaired sides.

    Raises:
        ConfigError: unpaired sides have no direction.
        DataError: see `why_unpaired`.
    """
    if why_unpaired(settings.data) is None:
        return PairedData(
            folder=settings.data,
            direction=settings.direction,
            load_size=settings.cached_size,
            crop_size=settings.crop_size,
        )
    if settings.direction == "b_to_a":
        raise ConfigError(
            f"{settings.data} contains no pairs, so direction does not apply: swap the names of its folders"
        )
    return UnpairedData(folder=settings.data, load_size=settings.cached_size, crop_size=settings.crop_size)


def why_unpaired(folder: Path) -> str | None:
    """Return None if the training pictures are pairs, else the reason why they are not.

    Raises:
        DataError: most of them are pairs, so the others must be a mistake; the message names them.
    """
    try:
        find_entries(PairedData(folder=folder), "train")
    except DataError as error:
        if is_mostly_paired(folder / "train"):
            remedy = "most files have a partner: add or remove the others; name unpaired folders trainA and trainB"
            raise DataError(f"{error}; {remedy}") from error
        unpaired = (folder / "trainA").is_dir()
        return f"{folder} contains unpaired pictures in trainA and trainB" if unpaired else str(error)
    return None


def plan_runs(settings: ComparisonConfig) -> dict[str, RunConfig]:
    """Return recipe -> run, in the order of the settings; invalid combinations raise an error before any training.

    Raises:
        ConfigError: an unknown or repeated recipe, no recipe, or a recipe that needs pairs for unpaired data.
        DataError: see `why_unpaired`.
    """
    names, known = settings.methods, recipes()
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"unknown recipe {', '.join(unknown)}; recipes: {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"name one or more methods, each once; recipes: {', '.join(known)}")
    data = plan_data(settings)
    return {name: _plan_run(name, known[name](), data, settings) for name in names}


def _plan_run(recipe: str, config: RunConfig, data: DataConfig, settings: ComparisonConfig) -> RunConfig:
    needs_pairs = getattr(config.method, "paired", True)
    if isinstance(data, PairedData):
        data = replace(data, aligned=needs_pairs)
    elif needs_pairs:
        raise ConfigError(f"{recipe} needs pairs, and the data has none: {why_unpaired(settings.data)}")
    return RunConfig(
        method=with_width(config.method, settings.width), data=data, training=_training(config.training, settings)
    )


def with_width(method: Any, width: int | None) -> Any:
    """Return the method's configuration with this width, if it has such fields."""
    names = [field.name for field in fields(method) if field.name in WIDTHS]
    return method if width is None else replace(method, **dict.fromkeys(names, width))


def _training(recipe: TrainingConfig, settings: ComparisonConfig) -> TrainingConfig:
    return replace(
        recipe,
        epochs=recipe.epochs if settings.epochs is None else settings.epochs,
        minutes=settings.minutes,
        batch_size=recipe.batch_size if settings.batch_size is None else settings.batch_size,
        precision=settings.precision or recipe.precision,
        seed=settings.seed,
        device=settings.device,
    )


@dataclass(frozen=True)
class TestPictures:
    """Both sides of the test split, evenly subsampled, admitted by the content gate.

    Attributes:
        split: test, or val without a test split.
        sides: name -> picture of each side; of pairs, the same names on both.
        specs: picture specification of each side.
        paired: whether side b holds the targets of side a.
        refused: name -> why the content gate refuses the picture.
    """

    __test__ = False  # keeps pytest from collecting it

    split: Split
    sides: AdmittedSides
    specs: Specs
    paired: bool
    refused: dict[str, str] = field(default_factory=dict)

    def rgb(self, side: Domain) -> list[Rgb]:
        """Return all pictures of a side as RGB, for a classifier."""
        return [one.picture.as_rgb8() for one in self.sides[side].values()]


def open_test_pictures(data: DataConfig, *, limit: int) -> TestPictures:
    """Read at most `limit` pictures of each side, at the size of the data configuration.

    Raises:
        DataError: the data has neither a test nor a val split, or its pictures cannot be used.
        PolicyRefusal: too many are refused (`ganvas.content_gate.gate.check_share`).
    """
    split = held_out_split(data)
    sides, specs = _read(data, split, limit, like=_training_data(data))
    total = sum(map(len, sides.values()))
    outcomes = {side: admit_many(list(pictures.items())) for side, pictures in sides.items()}
    refused = {side: [one for one in found if isinstance(one, PolicyRefusal)] for side, found in outcomes.items()}
    admitted = {
        side: {one.name: one for one in found if isinstance(one, AdmittedPicture)} for side, found in outcomes.items()
    }
    check_share([refusal for refusals in refused.values() for refusal in refusals], total)
    for side, refusals in refused.items():
        for other in sides if data.paired else (side,):
            for refusal in refusals:
                admitted[other].pop(refusal.name, None)
    reasons = {refusal.name: refusal.reason for refusals in refused.values() for refusal in refusals}
    return TestPictures(split, admitted, specs, data.paired, reasons)


def training_pictures(data: DataConfig, side: Domain, *, limit: int) -> list[Rgb]:
    """Read training pictures of a side at the test size, as the reference of another real sample."""
    alike = _training_data(data)
    return [picture.as_rgb8() for picture in _read(alike, "train", limit, like=alike)[0][side].values()]


def _training_data(data: DataConfig) -> DataConfig:
    """Return the configuration that reads training pictures at the size of the test pictures."""
    size = evaluation_size(data)
    return replace(data, load_size=size, crop_size=size) if data.resize == "stretch" else data


def _read(data: DataConfig, split: Split, limit: int, *, like: DataConfig) -> tuple[Sides, Specs]:
    """Read the pictures of a split; repeat gray ones to RGB if the training pictures (`like`) are in color."""
    folder = cache_folder() / "pictures"
    cache, training = build_cache(data, split, folder), build_cache(like, "train", folder)
    agree_across_splits({"train": training, split: cache})
    a, b = cache.a, cache.b
    return {"a": _thinned(a, limit), "b": _thinned(b, limit)}, {"a": a.spec, "b": b.spec}


def _thinned(side: Side, limit: int) -> dict[str, Picture]:
    return {
        side.names[index]: Picture(np.ascontiguousarray(side[index].transpose(1, 2, 0)))
        for index in evenly(len(side), limit)
    }
