"""Pages of the site that are generated: home, changelog, and the reference of commands, recipes and Python names.

MkDocs calls these functions (https://www.mkdocs.org/user-guide/configuration/#hooks). Nothing generated is committed:
a command's settings come from its config, the Python names from the docstrings.
"""

from __future__ import annotations

import html
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import ganvas
from ganvas import api
from ganvas.cli import HOMES, VERBS
from ganvas.flags import FLAGS
from ganvas.recipes import RECIPES, recipe_summary

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/ganvas/ganvas"
PAGES = {
    "configs": (
        "Recipes and configs",
        ["ganvas.recipes", "ganvas.methods", "ganvas.data.config", "ganvas.training.config"],
    ),
    "inference": (
        "Translation",
        ["ganvas.inference.translator", "ganvas.inference.translation", "ganvas.inference.tiling"],
    ),
    "image": ("Pictures", ["ganvas.image"]),
    "video": ("Films", ["ganvas.video"]),
    "localization": ("Localization", ["ganvas.localization", "ganvas.localization.detectors"]),
    "redaction": ("Redaction", ["ganvas.redaction.redact", "ganvas.redaction.verifier", "ganvas.redaction.tracks"]),
    "metrics": (
        "Metrics",
        [f"ganvas.metrics.{name}" for name in ("fidelity", "features", "distribution", "localization", "flicker")],
    ),
    "networks": ("Networks and losses", ["ganvas.networks", "ganvas.losses"]),
    "testing": ("Method contract, progress and errors", ["ganvas.testing", "ganvas.progress", "ganvas.errors"]),
}
"""Page of the Python reference -> its title, and the public modules on it."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "index.md": _local_links((ROOT / "README.md").read_text(encoding="utf-8")),
        "changelog.md": _local_links((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "reference/index.md": REFERENCE,
        "reference/commands.md": "\n".join(_commands()),
        "reference/recipes.md": "\n".join(_recipes()),
        "reference/python.md": _python(),
    }
    pages["reference/python/commands.md"] = "\n".join(_functions())
    for page, (title, modules) in PAGES.items():
        pages[f"reference/python/{page}.md"] = "\n".join(_python_page(title, modules))
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


REFERENCE = """# Reference

- [Commands](commands.md): every command with its arguments, flags and defaults.
- [Recipes](recipes.md): complete runs for `ganvas train`, with every setting.
- [Python](python.md): the public names of each package.
"""


def _local_links(text: str) -> str:
    """Return a page of the repository's root with its links to the documentation made relative."""
    text = text.replace(f"{REPOSITORY}/blob/main/docs/", "").replace(
        f"{REPOSITORY}/blob/main/CHANGELOG.md", "changelog.md"
    )
    return re.sub(r"\]\((?:docs/)([\w-]+\.md[^)]*)\)", r"](\1)", text)


def _commands() -> Iterator[str]:
    yield "# Commands\n\n`ganvas VERB --help` prints the same. [Recipes](recipes.md) has the settings of `train`.\n"
    for verb, (name, _) in VERBS.items():
        function = getattr(importlib.import_module(HOMES.get(verb, "ganvas.api")), name)
        config = api.CONFIGS.get(name)
        yield f"## {verb}\n"
        if config is None:
            yield "    ganvas train RECIPE --data DIR --out RUN\n\nSee [recipes](recipes.md).\n"
            continue
        yield f"{(function.__doc__ or '').partition(chr(10) * 2 + 'Args:')[0]}\n"
        yield from _table(config, list(fields(config)))


def _recipes() -> Iterator[str]:
    yield "# Recipes\n\n`ganvas train RECIPE --data DIR --out RUN` trains one."
    yield "Each setting is a flag, `--out` the run folder.\n"
    yield "| recipe | what it trains |\n|---|---|"
    for name, recipe in RECIPES.items():
        yield f"| `{name}` | {recipe_summary(recipe)} |"
    yield "\nThe settings below are those of the method, of the data and of the training. Defaults are those of the"
    yield "class; a recipe may set others, which `ganvas train RECIPE --help` shows.\n"
    parts: dict[str, type[Any]] = {}
    for recipe in RECIPES.values():
        run = recipe()
        parts |= {type(part).__name__: type(part) for part in (run.method, run.data, run.training)}
    for name, config in sorted(parts.items(), key=lambda item: (not item[0].endswith("GANConfig"), item[0])):
        yield f"## {name}\n\n{_first_paragraph(config)}\n"
        yield from _table(config, list(fields(config)))


def _first_paragraph(config: type[Any]) -> str:
    return (config.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")


def _table(config: type[Any], settings: list[Field[Any]]) -> Iterator[str]:
    docs = api.field_docs(config)
    yield "| setting | type | default | meaning |\n|---|---|---|---|"
    for field in settings:
        flag = FLAGS.get(field.name, field.name).replace("_", "-")
        name = f"`--{flag}`" if field.kw_only else f"`{flag.upper()}`"
        meaning = docs.get(field.name, "").replace("|", "&#124;")
        yield f"| {name} | {_code(field.type)} | {_default(field)} | {meaning} |"
    yield ""


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "required"
    if is_dataclass(value):
        return _code(f"{type(value).__name__}()")
    return "unset" if value is None else _code(value)


def _code(text: object) -> str:
    """Return text as code inside a table, where a bar would end the cell."""
    return f"<code>{html.escape(str(text)).replace('|', '&#124;')}</code>"


def _python() -> str:
    titles = {"commands": "Commands as functions"} | {page: title for page, (title, _) in PAGES.items()}
    pages = "\n".join(f"- [{title}](python/{page}.md)" for page, title in titles.items())
    return (
        "# Python\n\nThe names on these pages are public; all others may change. `import ganvas` has the most used:"
        f" {', '.join(f'`{name}`' for name in ganvas.__all__)}.\n\n{pages}\n"
    )


def _functions() -> Iterator[str]:
    """The functions of `ganvas.api`: their parameters are those of a config, so they are not in the source."""
    yield f"# Commands as functions\n\n{inspect.getdoc(api)}\n"
    for name in api.__all__:
        function = getattr(api, name)
        about, _, arguments = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
        parameters = inspect.signature(function, eval_str=False).parameters.values()
        lines = [f"    {str(one).replace(chr(39), '')}," for one in parameters]
        if any(one.kind is one.KEYWORD_ONLY for one in parameters):
            first = next(index for index, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY)
            lines.insert(first, "    *,")
        returned = str(inspect.signature(function).return_annotation).replace("'", "")
        yield (
            f"## `ganvas.api.{name}`\n\n```python\n{name}(\n"
            + "\n".join(lines)
            + f"\n) -> {returned}\n```\n\n{about}\n"
        )
        for line in textwrap.dedent(re.sub(r"\n {8,}", " ", arguments)).splitlines():
            setting, colon, meaning = line.partition(": ")
            yield f"- `{setting}`: {meaning}" if colon else line
        yield ""


def _python_page(title: str, modules: list[str]) -> Iterator[str]:
    yield f"# {title}\n"
    for module in modules:
        names = getattr(importlib.import_module(module), "__all__", None)
        yield f"## `{module}`\n\n::: {module}\n    options:\n      heading_level: 3\n      show_root_heading: false"
        yield f"      members: {json.dumps(names)}" if names else f"      members: {json.dumps(_own(module))}"
        yield ""


def _own(module: str) -> list[str]:
    """Return the public functions and classes that a module without `__all__` defines."""
    found = vars(importlib.import_module(module)).items()
    kinds = [(name, thing) for name, thing in found if inspect.isclass(thing) or inspect.isfunction(thing)]
    return [name for name, thing in kinds if not name.startswith("_") and thing.__module__ == module]
