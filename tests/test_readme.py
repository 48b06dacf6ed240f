"""README and walk-throughs: what they name exists."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import ganvas
from ganvas.cli import VERBS, parse_train
from ganvas.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    ganvas ")]
COMMANDS += re.findall(r"\| `(ganvas [^`]*)` \|", README)
WALKED = "".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("export", "import"))
COMMANDS += [line.split("#")[0].strip() for line in WALKED.splitlines() if re.match(r"    ganvas [^\[\\]*$", line)]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOME = PROJECT["urls"]["Repository"]


def test_links_of_the_readme_are_absolute_and_lead_to_files() -> None:
    """A package index displays README outside the repository, where relative links are broken."""
    links = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", README, flags=re.MULTILINE))
    assert not re.search(r"\]\((?!http)", README)
    text = " ".join(README.split())
    assert len(links) > 30
    for name, target in links.items():
        assert f"[{name}]" in text.replace(f"[{name}]: {target}", ""), name
        assert target.startswith(f"{HOME}/blob/main/"), target
        assert (ROOT / target.removeprefix(f"{HOME}/blob/main/")).is_file(), target


def test_every_page_of_the_documentation_is_linked() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert f"/docs/{path.name}\n" in README, path.name


def test_the_metadata_has_the_addresses_of_the_project() -> None:
    assert {"Homepage", "Repository", "Documentation", "Changelog", "Issues"} <= PROJECT["urls"].keys()
    assert all(address.startswith(HOME) for address in PROJECT["urls"].values())


def test_installing_needs_no_package_index_of_that_name() -> None:
    """ganvas is not published: `pip install ganvas` would install an unrelated package of that name."""
    for path in [*(page for page in PAGES if page.name != "decisions.md"), *sorted((ROOT / "src").rglob("*.py"))]:
        assert not re.search(r"pip install[^\n`#]*['\" ]ganvas\b(?!/)", path.read_text(encoding="utf-8")), path.name
    assert "--index-url https://download.pytorch.org/whl/cpu" in README
    assert re.search(r"--index-url https://download\.pytorch\.org/whl/cu12\d", README)
    assert (
        set(re.findall(r"`(tensorboard|figures|ray|dev|demo|video)`", README))
        <= PROJECT["optional-dependencies"].keys()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_name_real_verbs_and_flags(command: str) -> None:
    _, verb, *words = shlex.split(command)
    assert verb in VERBS
    pinned = (Path(__file__).parent / "golden" / "flags.txt").read_text(encoding="utf-8").splitlines()
    flags = next(line for line in pinned if line.startswith(verb)).split()
    assert {word for word in words if word.startswith("--")} <= set(flags)
    if verb == "train":
        assert words[0] in RECIPES
        parse_train(words[0], words[1:])


def test_the_program_uses_public_names() -> None:
    program = README.split("```python")[1].split("```")[0]
    compile(program, "README", "exec")
    assert set(re.findall(r"ganvas\.(\w+)", program)) <= set(ganvas.__all__)


def test_the_two_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^    make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{command}:" in makefile


def test_no_path_of_a_machine_stands_in_the_pages() -> None:
    for page in PAGES:
        assert not re.search(r"/(work|home|root|tmp|Users)/", page.read_text(encoding="utf-8")), page.name
