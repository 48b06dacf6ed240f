"""Pages of the documentation: links and anchors, names in code, widths, and the format of decisions."""

from __future__ import annotations

import ast
import datetime
import functools
import re
from pathlib import Path

import ganvas
from source_trees import tree_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ganvas"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Pages on the current state."""
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^## (\d+)\. (.+) \((\d{4}-\d\d-\d\d)\)$", flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_internal_links_and_anchors_resolve() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not target.startswith("http") and (not file.exists() or (anchor and anchor not in anchors(file))):
                broken.append(f"{page.name} links to {target}")
    assert broken == []


def test_python_examples_parse() -> None:
    examples = [
        (page.name, example)
        for page in PAGES
        for example in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(examples) > 10
    for name, example in examples:
        ast.parse(example, filename=name)


def test_lines_are_at_most_120_columns() -> None:
    lines = [(page, *one) for page in PAGES for one in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)]
    assert [f"{page.name}:{number}" for page, number, line in lines if len(line) > 120] == []


def test_decisions_are_numbered_and_dated() -> None:
    titles = re.findall(r"^## (.+)$", DECISIONS, flags=re.MULTILINE)
    entries = HEADING.findall(DECISIONS)
    assert titles == ["Topics", *(f"{number}. {title} ({date})" for number, title, date in entries)]
    assert [int(number) for number, _, _ in entries] == list(range(1, len(entries) + 1))
    dates = [datetime.date.fromisoformat(date) for _, _, date in entries]
    assert dates == sorted(dates)


def test_each_decision_stands_under_one_topic() -> None:
    lines = re.findall(r"^- \*\*.+?\*\*: ([\d,\s]+)$", DECISIONS.split("\n## 1. ")[0], flags=re.MULTILINE)
    listed = sorted(int(number) for line in lines for number in re.findall(r"\d+", line))
    assert listed == [int(number) for number, _, _ in HEADING.findall(DECISIONS)]


def test_the_decision_on_the_gate_names_the_packages_that_call_it() -> None:
    entry = DECISIONS.split(". The callers of the content gate (")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", entry.split("in these packages:")[1].split(". ")[0]))
    callers = {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and re.fullmatch(r"(\w+\.)?admit(_many)?", ast.unparse(node.func))
    }
    assert named == callers - {"content_gate"}


@functools.cache
def members() -> dict[str, set[str]]:
    """Return the classes of the package with the names of their members and of their bases."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                names = {child.name for child in ast.walk(node) if isinstance(child, ast.FunctionDef)}
                names |= {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
                names |= {child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)}
                found[node.name] = found.get(node.name, set()) | names
    return found


def test_code_names_exist() -> None:
    """Files, modules and members of classes that a page names exist; the changelog also names former ones."""
    texts = {page.name: re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL) for page in CURRENT}
    spans = [(name, span) for name, text in texts.items() for span in re.findall(r"`([^`\n]+)`", text)]
    assert [f"{name}: {span}" for name, span in spans if not _exists(span)] == []


def _exists(span: str) -> bool:
    """Return whether a file, a member of a class or a name of a module exists; True for all other code."""
    if re.fullmatch(r"[\w/-]+/[\w.-]+\.py", span):
        return (ROOT / span).exists() or (SOURCE / span).exists()
    if (match := re.fullmatch(r"([A-Z]\w+)\.(\w+)", span)) and match[1] in members():
        return match[2] in members()[match[1]]
    if re.fullmatch(r"ganvas(\.[a-z_]\w*)+", span):
        return _is_module_or_member(span.split(".")[1:])
    return True


def test_names_of_the_top_level_are_public() -> None:
    """A page that writes `ganvas.name` means a public name, a package or a module."""
    known = {*ganvas.__all__, *(path.stem for path in SOURCE.iterdir())}
    named = {page.name: set(re.findall(r"(?<![\w/.\"])ganvas\.(\w+)", page.read_text("utf-8"))) for page in CURRENT}
    assert {page: names - known for page, names in named.items() if names - known} == {}


FOREIGN = (
    "address deselect dest durations force-reinstall head index-url no-binary no-deps nproc-per-node standalone target"
)
"""Flags of pip, torchrun and ray."""


def test_flags_exist() -> None:
    """A flag on a page belongs to a command, a benchmark or another tool."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))
    known = set(re.findall(r"--[a-z][a-z-]+", scripts + (ROOT / "tests" / "golden" / "flags.txt").read_text("utf-8")))
    configs = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "methods").rglob("config.py"))
    known |= {f"--{name.replace('_', '-')}" for name in re.findall(r"^    (\w+): ", configs, flags=re.MULTILINE)}
    known |= {f"--{name}" for name in FOREIGN.split()} | {"--help", "--version"}
    named = {
        page.name: set(re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w_])", page.read_text("utf-8"))) for page in CURRENT
    }
    assert {page: flags - known for page, flags in named.items() if flags - known} == {}


def _is_module_or_member(parts: list[str]) -> bool:
    """Return whether the names lead to a package, a module, or a name in it."""
    place = SOURCE
    for index, part in enumerate(parts):
        if (place / part).is_dir():
            place = place / part
            continue
        file = place / f"{part}.py"
        rest = parts[index + 1 :] if file.exists() else parts[index:]
        text = (file if file.exists() else place / "__init__.py").read_text(encoding="utf-8")
        return all(re.search(rf"\b{name}\b", text) for name in rest)
    return True
