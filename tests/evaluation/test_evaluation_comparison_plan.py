"""Plan of a comparison: data and settings of each method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import ConfigError, DataError
from ganvas.evaluation import ComparisonConfig
from ganvas.evaluation.comparison_plan import plan_data, plan_runs, why_unpaired, with_width
from ganvas.methods import CycleGANConfig, Pix2PixConfig
from ganvas.recipes import RECIPES


def settings(data: Path, *methods: str, **changes: Any) -> ComparisonConfig:
    return ComparisonConfig(data=data, methods=methods, out=Path("out"), **changes)


def test_all_are_given_the_same_and_keep_the_rest_of_their_recipe(pairs: Path) -> None:
    config = settings(
        pairs, "cyclegan", "pix2pix", minutes=3, epochs=7, crop_size=(64, 32), width=4, batch_size=2, seed=5,
        device="cpu",
    )  # fmt: skip
    runs = plan_runs(config)
    assert list(runs) == ["cyclegan", "pix2pix"]
    for name, run in runs.items():
        assert (run.data.load_size, run.data.crop_size, run.data.folder) == ((72, 36), (64, 32), pairs)
        recipe = RECIPES[name]().training
        given = {"minutes": 3, "epochs": 7, "batch_size": 2, "seed": 5, "device": "cpu"}
        assert run.training == replace(recipe, **given)
    assert runs["cyclegan"].method == CycleGANConfig(width=4, discriminator_width=4)
    assert runs["pix2pix"].method == Pix2PixConfig(width=4, discriminator_width=4)


def test_methods_that_need_no_pairs_see_the_sides_of_pairs_apart(pairs: Path) -> None:
    config = settings(pairs, "pix2pix", "cyclegan", epochs=1, direction="b_to_a")
    runs = plan_runs(config)
    assert isinstance(plan_data(config), PairedData)
    assert [(run.data.aligned, run.data.direction) for run in runs.values()] == [(True, "b_to_a"), (False, "b_to_a")]


def test_two_sides_are_no_pairs(sides: Path) -> None:
    assert isinstance(plan_data(settings(sides, epochs=1)), UnpairedData)
    with pytest.raises(
        ConfigError, match=r"pix2pix needs pairs, and the data has none: .* unpaired pictures in trainA and trainB"
    ):
        plan_runs(settings(sides, "cyclegan", "pix2pix", epochs=1))
    with pytest.raises(ConfigError, match="contains no pairs, so direction does not apply"):
        plan_runs(settings(sides, "cyclegan", epochs=1, direction="b_to_a"))


def folders_of_names(root: Path, a: str, b: str) -> Path:
    for side, names in (("a", a), ("b", b)):
        (root / "train" / side).mkdir(parents=True)
        for name in names:
            (root / "train" / side / f"{name}.png").touch()
    return root


def test_folders_of_other_names_are_two_sides_and_it_says_why(tmp_path: Path) -> None:
    folder = folders_of_names(tmp_path, a="123", b="345")
    assert isinstance(plan_data(settings(folder, epochs=1)), UnpairedData)
    assert "files of a pair must share their stem; 2 only in" in str(why_unpaired(folder))


@pytest.mark.parametrize(("a", "b"), [("123", "12"), ("1234", "1235")])
def test_a_few_files_without_a_partner_are_an_error_that_names_them(tmp_path: Path, a: str, b: str) -> None:
    folder = folders_of_names(tmp_path, a, b)
    for recipe in ("cyclegan", "pix2pix"):
        with pytest.raises(DataError, match=rf"only in .*a: {a[-1]}.*most files have a partner.* trainA and trainB"):
            plan_runs(settings(folder, recipe, epochs=1))


def test_one_repeated_stem_does_not_turn_pairs_into_two_sides(tmp_path: Path) -> None:
    folder = folders_of_names(tmp_path, a="123", b="123")
    (folder / "train" / "a" / "1.jpg").touch()
    with pytest.raises(DataError, match=r"share their stem with another.* 1\.jpg, 1\.png.*most files have a partner"):
        plan_data(settings(folder, epochs=1))


@pytest.mark.parametrize(
    ("recipes", "message"),
    [(["cyclegann"], "unknown recipe cyclegann; recipes: pix2pix"), ([], "one or more"), (["cut", "cut"], "once")],
)
def test_methods_that_are_none(recipes: list[str], message: str, pairs: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_runs(settings(pairs, *recipes, epochs=1))


def test_a_budget_is_needed(pairs: Path) -> None:
    with pytest.raises(ConfigError, match="set minutes, epochs, or both"):
        settings(pairs)


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_nothing_is_not_taken_for_unset(pairs: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} 0 must be positive"):
        plan_runs(settings(pairs, "pix2pix", **{"epochs": 1, name: 0}))


def test_a_width_goes_where_there_is_one() -> None:
    assert with_width(CycleGANConfig(), None) == CycleGANConfig()
    assert with_width(PairedData(), 3) == PairedData()
