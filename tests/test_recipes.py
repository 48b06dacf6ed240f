"""Recipes of installed packages: they are listed together with those of ganvas."""

import re
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from ganvas import recipes as module
from ganvas.cli import main, parse_train
from ganvas.errors import ConfigError
from ganvas.recipes import ENTRY_POINT_GROUP, RECIPES, recipe_summary, recipes


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an installed distribution with a working and a broken recipe."""
    (tmp_path / "sketches.py").write_text(
        'from ganvas.recipes import pix2pix\n\n\ndef sketches():\n    """Sketches colored."""\n    return pix2pix()\n'
    )
    folder = tmp_path / "sketches-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sketches\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\nsketches = sketches:sketches\nbroken = sketches:nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sketches", raising=False)
    return tmp_path


@pytest.mark.filterwarnings("default")
def test_a_recipe_of_a_package_is_offered_and_parsed(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match=r"recipe broken is skipped: sketches:nothing: .*no attribute 'nothing'"):
        found = recipes()
    assert [*found] == [*RECIPES, "sketches"]
    assert recipe_summary(found["sketches"]) == "Sketches colored."
    assert main(["train"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"^  sketches +Sketches colored\.$", shown.out, flags=re.MULTILINE)
    assert "ganvas train: recipe broken is skipped" in shown.err
    with pytest.warns(UserWarning, match="broken"):
        assert parse_train("sketches", ["--out", "run", "--width", "9"]).config.method.width == 9  # type: ignore[union-attr]


def test_a_package_may_not_replace_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint(name="pix2pix", value="other:recipe", group=ENTRY_POINT_GROUP)
    monkeypatch.setattr(module, "entry_points", lambda group: EntryPoints([entry]))
    with pytest.raises(ConfigError, match="other:recipe defines a recipe 'pix2pix', which is built in"):
        recipes()
