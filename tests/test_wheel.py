"""Wheel and sdist: built and installed into an empty environment, they work without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as `pip wheel` does, with the build backend of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("ganvas-*.whl")
    return path


@pytest.mark.slow
def test_an_installed_wheel_tells_its_version_and_its_help(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(target), "GANVAS_CACHE": str(tmp_path / "cache")}

    def ganvas(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ganvas", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import ganvas; print(ganvas.__file__)"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(target)
    assert ganvas("--version").strip() == f"ganvas {wheel.name.split('-')[1]}"
    assert "usage: ganvas VERB" in ganvas("--help")
    assert "--epochs" in ganvas("train", "pix2pix", "--help")
    assert (target / "bin" / "ganvas").is_file() or (target / "Scripts" / "ganvas.exe").is_file()


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_type_marker_and_its_license(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {f"ganvas/{path.relative_to(ROOT / 'src/ganvas')}" for path in (ROOT / "src/ganvas").rglob("*.py")}
    page = [path for path in (ROOT / "src/ganvas/interop/web").rglob("*") if path.is_file()]
    assert len(page) > 10
    package |= {f"ganvas/{path.relative_to(ROOT / 'src/ganvas')}" for path in page}
    assert package | {"ganvas/py.typed"} <= set(names)
    assert all(name.startswith(("ganvas/", "ganvas-")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    metadata = next(name for name in names if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "Project-URL: Repository, https://github.com/ganvas/ganvas" in text


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new environment with ganvas, from the wheel of its sdist, and its requirements."""
    folder = tmp_path_factory.mktemp("clean")
    build = "from hatchling.build import build_sdist; import sys; print(build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, check=True)
    (sdist,) = folder.glob("ganvas-*.tar.gz")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
        str(sdist),
    ]
    done = subprocess.run([*install, str(sdist)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the layout of an environment differs there")
def test_the_programs_of_the_readme_run_in_a_clean_environment(clean: Path, tmp_path: Path) -> None:
    """The quick start of README, from training on pairs to a written picture, outside the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"GANVAS_CACHE": str(tmp_path / "cache")}

    def run(*words: str) -> None:
        done = subprocess.run([str(clean), *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    pairs = """
import numpy, pathlib
from PIL import Image
pathlib.Path("facades/train").mkdir(parents=True)
levels = numpy.linspace(0, 255, 32 * 64 * 3).reshape(32, 64, 3).astype("uint8")
Image.fromarray(levels).save("facades/train/one.png")
Image.fromarray(levels[:, :32]).save("label.png")
"""
    run("-c", pairs)
    small = "--load-size 32 32 --crop-size 32 32 --width 4 --depth 2 --discriminator-width 4 --receptive-field 16"
    words = f"train facades --data facades --out runs/facades --epochs 2 --threads 1 {small}"
    run("-m", "ganvas", *words.split())
    programs = (ROOT / "README.md").read_text(encoding="utf-8").split("```python")[1:]
    for program in programs:
        run("-c", program.split("```")[0])
    assert (tmp_path / "facade.png").is_file()
