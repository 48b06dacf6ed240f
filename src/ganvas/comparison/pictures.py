"""The pictures that every method of a comparison is measured on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate.gate import admit_many, check_share
from ganvas.data.cache import Cache, UnpairedCache, agree_across_splits, build_cache, build_unpaired_cache
from ganvas.data.config import DataConfig, PairedData
from ganvas.data.decode import evaluation_size
from ganvas.data.layouts import Split
from ganvas.data.memmap import Side
from ganvas.errors import PolicyRefusal
from ganvas.evaluation.pictures import choose_split, evenly
from ganvas.image.picture import Picture, PictureSpec
from ganvas.methods.config import Direction, Domain
from ganvas.weights import cache_folder

Rgb = NDArray[np.uint8]
"""(H, W, 3)."""
Sides = dict[Domain, dict[str, Picture]]
"""Side -> name -> picture."""
Specs = dict[Domain, PictureSpec]
"""Side -> what its numbers mean."""
SIDES: dict[Direction, tuple[Domain, Domain]] = {"a_to_b": ("a", "b"), "b_to_a": ("b", "a")}
"""Direction -> the side translated, and the one that it becomes."""


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
    a, b = (cache.given, cache.made) if isinstance(cache, Cache) else (cache.a, cache.b)
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
