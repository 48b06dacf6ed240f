"""Documentation site: complete navigation, strict build, no external resources, and notebooks that run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
GENERATED = ("index.md", "changelog.md", "reference/")


def require(module: str) -> None:
    """Skip if the extra `docs` is not installed; in CI this is an error."""
    if importlib.util.find_spec(module) is None:
        if os.environ.get("GANVAS_REQUIRE_DOCS"):
            pytest.fail(f"{module} is missing: pip install '.[docs]'")
        pytest.skip(f"needs {module}: pip install '.[docs]'")


def test_every_page_and_notebook_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/-]+\.(?:md|ipynb)", CONFIG.split("\nnav:")[1]))
    pages = {path.relative_to(DOCS).as_posix() for path in (*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb"))}
    assert {name for name in named if not name.startswith(GENERATED)} == pages


def test_the_version_of_the_citation_is_that_of_the_package() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("mkdocs")
    require("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_another_server(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:[^"]+)"', text)
        loaded += re.findall(r'<link\b(?=[^>]*rel="(?:stylesheet|preload|preconnect)")[^>]*href="(https?:[^"]+)"', text)
        assert not loaded, (path.name, loaded)


@pytest.mark.slow
def test_the_reference_has_every_command_flag_and_recipe(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    recipes = (site / "reference" / "recipes.html").read_text(encoding="utf-8")
    for line in (ROOT / "tests" / "golden" / "flags.txt").read_text(encoding="utf-8").splitlines():
        name, _, flags = line.partition(": ")
        page = recipes if name.startswith("train") else commands
        missing = [flag for flag in flags.split() if f"<code>{flag}</code>" not in page]
        assert not [flag for flag in missing if not flag.startswith("--no-")], name


@pytest.mark.slow
def test_the_search_finds_a_function_and_a_flag(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "write_video" in index
    assert "--coverage" in index


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_with_results_and_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    book = json.loads(text)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in code)
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    assert "/work/" not in text
    assert "/home/" not in text


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    require("nbclient")
    require("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    book = nbformat.read(path, as_version=4)
    client(book, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(book.cells) > 5
