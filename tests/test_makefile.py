"""The Makefile on a machine that does not suit."""

from __future__ import annotations

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
