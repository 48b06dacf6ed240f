"""The catalog of recipes: every recipe once, with advice, and a keyword search."""

from __future__ import annotations

from collections import Counter

import pytest

from ganvas.catalog import CHOICES, PLUGINS, list_recipes
from ganvas.cli import main
from ganvas.recipes import RECIPES, recipe_summary, vae


def test_every_recipe_stands_once_with_its_advice() -> None:
    assert Counter(name for choices in CHOICES.values() for name in choices) == Counter(RECIPES.keys())
    assert all(choice for choices in CHOICES.values() for choice in choices.values())


def test_the_command_prints_each_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    for choices in CHOICES.values():
        for name, choice in choices.items():
            assert f"  {name}: {recipe_summary(RECIPES[name])}\n      when: {choice}\n" in shown


def test_words_choose_among_tasks_names_and_descriptions() -> None:
    assert [*list_recipes(("PAIRS", "dualgan")).tasks["Two folders without pairs"]] == ["dualgan", "dualgan_port"]
    assert [*list_recipes(("fidelity", "clean")).tasks] == [*CHOICES][1:2]


def test_words_of_no_recipe_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "sculptures", "songs"]) == 2
    assert "no recipe contains 'sculptures' and 'songs'; `ganvas recipes` lists all" in capsys.readouterr().err


def test_recipes_of_installed_packages_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.catalog.recipes", lambda: RECIPES | {"mine": vae})
    catalog = list_recipes(("mine",))
    assert catalog.tasks == {PLUGINS: {"mine": (recipe_summary(vae), "")}}
    assert str(catalog).startswith(f"{PLUGINS}\n  mine: Variational autoencoder")
