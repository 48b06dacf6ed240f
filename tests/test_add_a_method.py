"""Example of docs/add-a-method.md: extracted from the page, installed, trained, and tested by the method contract."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.cli import main
from ganvas.image.files import read_image
from ganvas.methods.base import methods

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")


@pytest.fixture
def package(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Write the files of the page, as pip would install them, and pictures to train on."""
    for name, code in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, flags=re.DOTALL):
        (tmp_path / name).write_text(code, encoding="utf-8")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    installed.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (installed / "METADATA").write_text(head, encoding="utf-8")
    entries = "".join(
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in names.items())
        for group, names in project["entry-points"].items()
    )
    (installed / "entry_points.txt").write_text(entries, encoding="utf-8")
    for side in "AB":
        (tmp_path / "data" / f"train{side}").mkdir(parents=True)
        for index in range(4):
            picture = np.tile(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (9, 9, 1))
            Image.fromarray(picture).save(tmp_path / "data" / f"train{side}" / f"{index}.png")
    return tmp_path


def run(package: Path, *words: str) -> str:
    """Run a separate Python with the package installed."""
    paths = os.pathsep.join([str(package), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=package, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package for this process by its folder."""
    monkeypatch.syspath_prepend(package)
    monkeypatch.chdir(package)
    methods.cache_clear()
    yield package
    methods.cache_clear()
    for name in ("simgan", "simgan_recipes"):
        sys.modules.pop(name, None)


def test_it_trains_and_is_read_back(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(installed / "train.py"), run_name="__main__")
    assert "run: done after 12 images" in capsys.readouterr().out
    assert read_image(installed / "refined.png").pixels.shape == (36, 36, 3)


def test_its_recipe_is_offered_with_its_own_flags(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 0
    assert re.search(r"^  simgan +Rendered pictures refined", capsys.readouterr().out, flags=re.MULTILINE)
    with pytest.raises(SystemExit, match="0"):
        main(["train", "simgan", "--help"])
    told = capsys.readouterr().out
    assert "--regularization-weight" in told
    assert "lambda of Sec. 2.1" in told
    words = ["--data", "data", "--out", "by-flags", "--epochs", "1", "--width", "4", "--device", "cpu"]
    assert main(["train", "simgan", *words]) == 0
    assert "by-flags: done after 4 images" in capsys.readouterr().out


@pytest.mark.slow
def test_it_goes_on_in_processes_of_its_own(package: Path) -> None:
    listed = run(package, "-m", "ganvas", "train")
    assert re.search(r"^  simgan +Rendered pictures refined", listed, flags=re.MULTILINE)
    assert "run: done after 12 images" in run(package, "train.py")
    assert "after 16 images" in run(package, "-m", "ganvas", "resume", "run", "--epochs", "4")


@pytest.mark.slow
def test_it_keeps_the_contract(package: Path) -> None:
    told = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_simgan.py")
    assert "failed" not in told
    assert int(re.findall(r"(\d+) passed", told)[0]) >= 9


def test_the_page_shows_each_file_once() -> None:
    names = re.findall(r"```\w+\n# (\S+)\n", PAGE)
    assert names == ["simgan.py", "pyproject.toml", "simgan_recipes.py", "train.py", "test_simgan.py"]
