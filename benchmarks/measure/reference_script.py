"""Entry point that runs a script of the reference in a separate process.

python -m measure.reference_script CHECKOUT PACKAGES SCHEMAS SCRIPT WORD...
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from measure.reference import Reference

if __name__ == "__main__":
    checkout, packages, schemas, script, *words = sys.argv[1:]
    Reference(checkout, packages, schemas == "True").prepare()
    sys.argv = [script, *words]
    runpy.run_path(str(Path(checkout) / script), run_name="__main__")
