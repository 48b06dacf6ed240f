"""Fault injection: a short, seeded part with kills, mutated files of every format, and bombs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FORMATS = ("png", "jpg", "tif", "deflate.tif", "npy", "boxes.json", "boxes.csv", "run.json", "snapshot.safetensors")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_nothing_is_harmed_and_nothing_unforeseen_is_raised(tmp_path: Path) -> None:
    verbs, mutants = ["translate", "redact", "prepare", "sample"], 8
    words = ["--only", "kills", "files", "bombs", "--verbs", *verbs, "--kills", "1"]
    words += ["--mutants", str(mutants), "--seed", "1", "--out", str(tmp_path / "faults.json"), "--formats", *FORMATS]
    command = [sys.executable, SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    kills, files, bombs = json.loads((tmp_path / "faults.json").read_text())["tables"]
    assert sum(row["kills"] for row in kills["rows"]) >= len(verbs)
    assert sum(row["refused"] for row in files["rows"]) >= 5 * mutants  # not all mutants are harmless
    assert {row["outcome"] for row in bombs["rows"]} == {"refused"}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_quick_verb_and_full_disks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--mutants", "10"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
