"""JSON from files that may be hostile: bounded in size and depth, every fault a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["MAX_BYTES", "MAX_DEPTH", "parse_json", "read_json", "read_text"]

MAX_DEPTH = 64
"""Lists and objects inside one another; no file of ganvas has more than ten."""
MAX_BYTES = 1 << 28
"""Of a file; boxes for a million pictures take a quarter of it."""
Pairs = Callable[[list[tuple[str, Any]]], Any]


def read_json(path: Path, *, encoding: str = "utf-8", pairs: Pairs | None = None) -> Any:
    """Return the content of a JSON file; see `parse_json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON, too large or nested too deep.
    """
    return parse_json(read_text(path, encoding=encoding), pairs=pairs)


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Return the text of a file of at most `MAX_BYTES`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger, or of another encoding.
    """
    with path.open("rb") as file:  # an endless one ends here too
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES >> 20} MiB")
    return data.decode(encoding)


def parse_json(text: str | bytes, *, pairs: Pairs | None = None) -> Any:
    """Return what a JSON text says.

    Args:
        text: the whole text.
        pairs: makes the value of an object from its (key, value) pairs; None: a dict, the last of equal keys.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if _deeper_than(value, MAX_DEPTH):
        raise ValueError(TOO_DEEP)
    return value


TOO_DEEP = f"it is nested more than {MAX_DEPTH} deep"


def _deeper_than(value: Any, limit: int) -> bool:
    """Return whether containers lie inside one another more than `limit` deep, without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Sequence[Any]:
    """Return the containers directly inside a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [child for child in inside if isinstance(child, (dict, list, tuple))]
