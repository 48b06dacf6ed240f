"""Layers of docs/design.md: imports only point downward."""

import ast
from pathlib import Path

import ganvas
from source_trees import tree_of

ROOT = Path(ganvas.__file__).parent
LAYERS = [
    {"terminal", "lazy"},
    {"errors"},
    {"filesystem", "progress"},
    {"serialization", "image", "weights", "hardware"},
    {"bulk", "video"},
    {"localization"},
    {"content_gate"},
    {"networks", "losses", "data"},
    {"methods"},
    {"runs", "metrics"},
    {"inference"},
    {"interop", "reports"},
    {"redaction", "testing"},
    {"training"},
    {"toy"},
    {"recipes"},
    {"evaluation"},
    {"demonstration", "privacy_audit", "diagnosis"},
    {"api", "flags"},
    {"studio", "catalog"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}
MAY_MEET = {("image", "serialization"), ("weights", "serialization"), ("image", "weights")}


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ganvas":
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("ganvas.")}
    return found & HEIGHT.keys()


MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def test_imports_point_down() -> None:
    homeless = {part_of(path) for path in MODULES} - HEIGHT.keys()
    assert not homeless, f"no layer: {homeless}; give each one here and in docs/design.md"
    wrong = [
        f"{path.relative_to(ROOT)} ({own}) may not import {part}"
        for path in MODULES
        for own in [part_of(path)]
        for part in imported_parts(path) - {own}
        if HEIGHT[part] >= HEIGHT[own] and (own, part) not in MAY_MEET
    ]
    assert wrong == []


def test_modules_stay_short() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def functions(path: Path) -> list[tuple[str, int]]:
    """Return the functions of a module by name, including inner ones, with their numbers of lines."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    return [(f"{path.relative_to(ROOT)}: {node.name}", (node.end_lineno or 0) - node.lineno + 1) for node in nodes]


def test_functions_stay_short() -> None:
    assert [(name, length) for path in MODULES for name, length in functions(path) if length > 60] == []


def test_imports_inside_functions_have_a_reason() -> None:
    """The first import of a block has a comment; `ganvas.api` gives the reason once, in its docstring."""
    assert [place for path in MODULES if path != ROOT / "api.py" for place in bare_imports(path)] == []


def bare_imports(path: Path) -> list[str]:
    """Return the positions of imports inside functions without a comment beside or above them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    functions = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    inner = (node for function in functions for node in ast.walk(function))
    numbers = {node.lineno for node in inner if isinstance(node, ast.Import | ast.ImportFrom)}
    first = sorted(number for number in numbers if number - 1 not in numbers)
    bare = [number for number in first if "#" not in lines[number - 1] + lines[number - 2]]
    return [f"{path.relative_to(ROOT)}:{number}" for number in bare]


def test_the_median_function_is_short() -> None:
    lengths = sorted(length for path in MODULES for _, length in functions(path))
    assert lengths[len(lengths) // 2] <= 10


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package that a module imports anywhere, including functions, except for type checks."""
    tree = tree_of(path)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{name.name}" for name in node.names}
            found |= submodules & NAMES.keys() or {node.module}
    return found & NAMES.keys()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path): path for path in ROOT.rglob("*.py")}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one cycle in order; empty without one."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for following in sorted(graph[name]):
            if cycle := visit(following, [*trail, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in graph if (cycle := visit(name, []))), [])


def test_no_modules_import_each_other() -> None:
    assert find_cycle({name: imported_modules(path) for name, path in NAMES.items()}) == []


def test_a_cycle_is_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
