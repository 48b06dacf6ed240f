"""Part `start`: startup time of commands."""

from __future__ import annotations

import sys
from statistics import median

from measure.child import run, seconds_of
from measure.options import Options
from measure.table import Row, Table

COMMANDS = ("--help", "--version", "translate --help", "train facades --help")
LOOK = """
import sys
from ganvas.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print('torch' in sys.modules)
"""


def measure_start(options: Options) -> list[Table]:
    """Measure whole processes: start of Python, imports, output."""
    note = "Whole processes, medians. The reference: its test script asked for help, after all its imports."
    table = Table("Start", notes=[note])
    table.rows = [_row(words, options.of(10, 5)) for words in COMMANDS]
    if options.reference:
        kept = vars(options.reference)
        words = [str(kept[name]) for name in ("checkout", "packages", "schemas")]
        command = [sys.executable, "-m", "measure.reference_script", *words, "test.py", "--dataroot", ".", "--help"]
        seconds = [seconds_of(command) for _ in range(options.of(3, 2))]
        table.rows.append({"command": "reference: test.py --help", "seconds": median(seconds), "imports torch": "True"})
    return [table]


def _row(words: str, times: int) -> Row:
    command = [sys.executable, "-m", "ganvas", *words.split()]
    seconds_of(command)
    seconds = [seconds_of(command) for _ in range(times)]
    said = run([sys.executable, "-c", LOOK.format(words=words.split())])
    return {
        "command": f"ganvas {words}",
        "seconds": median(seconds),
        "fastest-slowest": f"{min(seconds):.3g}-{max(seconds):.3g}",
        "imports torch": said.strip().splitlines()[-1],
    }
