"""The Makefile on an unsuitable machine, and the CI workflow that calls it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLD = """#!{python}
import sys
sys.version_info, sys.version = (3, 10, 12), "3.10.12 (main)"
exec(sys.argv[2])
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_an_old_python_is_told_before_anything_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python3.10"
    python.write_text(OLD.format(python=sys.executable))
    python.chmod(0o755)
    command = ["make", "-C", str(ROOT), "demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ganvas needs Python 3.11 or newer" in done.stderr
    assert "is 3.10.12" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_continuous_run_tests_numbers_as_on_a_processor_with_avx2_alone() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (line,) = re.findall(r"^env ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 make test .*$", script, re.MULTILINE)
    assert '"${numerical[*]}"' in line
    (array,) = re.findall(r"^numerical=\(.*?^\)$", script, re.MULTILINE | re.DOTALL)
    expanded = subprocess.run(["bash", "-c", f'{array}; echo "${{numerical[@]}}"'], capture_output=True, text=True)
    paths = expanded.stdout.split()
    assert {"tests/methods", "tests/networks", "tests/metrics", "tests/test_losses.py"} <= set(paths)
    assert {path.split("_")[1] for path in paths if "_" in path} >= {"training", "inference", "interop"}
    assert all((ROOT / path).exists() for path in paths)
