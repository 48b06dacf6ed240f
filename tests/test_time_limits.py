"""Ban on time limits in tests, which must also pass on slow and on busy machines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
WAITING = {"acquire", "communicate", "get", "join", "result", "wait"}
"""Methods whose first argument or timeout is a number of seconds."""
STARTING = {"call", "check_call", "check_output", "run"}
"""Functions of subprocess that take a timeout."""
LIMITS = {"deadline", "timeout"}
MAYBE = re.compile(rf"\b({'|'.join(LIMITS)})\b|\b({'|'.join(WAITING)})\(\s*[\d.]")
"""Names in every file with a time limit; other files need not be parsed."""


def limits(source: str) -> list[int]:
    """Return the lines with a time limit."""
    if not MAYBE.search(source):
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(node.lineno for node in calls if _is_limited(node))


def _is_limited(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    numbers = [argument.value for argument in call.args[:1] if isinstance(argument, ast.Constant)]
    waits = name in WAITING and any(type(number) in (int, float) for number in numbers)
    return waits or (
        name in WAITING | STARTING | {"settings"} and any(keyword.arg in LIMITS for keyword in call.keywords)
    )


def test_no_test_has_a_time_limit() -> None:
    found = {path: limits(path.read_text(encoding="utf-8")) for path in sorted(TESTS.rglob("*.py"))}
    named = {str(path.relative_to(TESTS)): lines for path, lines in found.items() if lines}
    assert not named, f"{named}: wait without a limit; pytest shows where a test hangs"


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(command, timeout=300)",
        "event.wait(10)",
        "thread.join(0.5)",
        "lock.acquire(timeout=60)",
        "settings(deadline=200)",
    ],
)
def test_a_time_limit_is_found(line: str) -> None:
    assert limits(f"first = 1\n{line}\n") == [2]


@pytest.mark.parametrize("line", ["event.wait()", "', '.join(names)", "connect(path, timeout=0.01)", "rows.get('a')"])
def test_what_is_none_is_not_taken_for_one(line: str) -> None:
    assert limits(line) == []


def test_examples_of_hypothesis_take_as_long_as_they_take() -> None:
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check
