"""Summary and files of the benchmark of mode collapse."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_trials_are_summarized_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    collapse = importlib.import_module("collapse")
    monkeypatch.setattr("sys.argv", ["collapse.py", "--out", str(tmp_path), "--seeds", "2", "--steps", "1"])
    assert collapse.main() == 0
    record = json.loads((tmp_path / "collapse.json").read_text())
    rows = next(value for value in record.values() if isinstance(value, list) and "seeds" in value[0])
    assert {row["seeds"] for row in rows} == {2}
    assert {row["method"] for row in rows} == set(collapse.GAMES)
    assert len(list(tmp_path.glob("*.png"))) == 2
