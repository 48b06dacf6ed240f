"""Speed of ganvas, optionally compared with a checkout of the reference PyTorch CycleGAN / pix2pix; see docs/speed.md.

    python benchmarks/speed.py --reference CHECKOUT --reference-packages FOLDER --data ../shared/data --out speed.json
    python benchmarks/speed.py --only step,start --quick

Each part runs in a separate process; if a part fails, the failure is listed in its place, the others continue, and the
exit code is 1. Takes about 15 minutes on two cores, less with --quick, and less than 10 on a GPU. Without --data it
generates pictures.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARTS = {
    "start": "start.measure_start",
    "step": "steps.measure_steps",
    "network": "networks.measure_networks",
    "data": "pipeline.measure_pipeline",
    "translate": "translation.measure_translation",
    "folder": "folders.measure_folders",
}
"""Part -> its function in the package `measure`."""


def main() -> int:
    """Run the parts, print their tables, and write the JSON."""
    given = parse()
    if given.threads:
        os.environ |= {"OMP_NUM_THREADS": str(given.threads), "MKL_NUM_THREADS": str(given.threads)}
    record = run_here(given) if len(given.only) == 1 else run_each(given)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if any(table["failures"] for table in record["tables"]) else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="checkout of the reference; unset: only ganvas is measured")
    parser.add_argument("--reference-packages", type=Path, help="folder with further packages for the reference")
    parser.add_argument("--data", type=Path, help="folder that contains facades, horse2zebra and flowers")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    parser.add_argument("--only", type=parts, default=list(PARTS), help=f"parts to run: {','.join(PARTS)}")
    parser.add_argument("--work", default="", help="only steps and networks whose name contains this text")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and pictures")
    return parser.parse_args()


def parts(text: str) -> list[str]:
    """Parse a list of parts such as `step,data`.

    Raises:
        argparse.ArgumentTypeError: there is no such part.
    """
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}; parts: {', '.join(PARTS)}")
    return names


def run_each(given: argparse.Namespace) -> dict[str, Any]:
    """Run every part by this program in a separate process."""
    record: dict[str, Any] = {"seconds": {}, "tables": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            out, start = Path(folder) / f"{name}.json", time.perf_counter()
            words = [sys.executable, __file__, "--only", name, "--out", str(out), *passed_on(given)]
            code = subprocess.run(words, check=False).returncode
            record["seconds"][name] = round(time.perf_counter() - start)
            if out.exists():
                found = json.loads(out.read_text(encoding="utf-8"))
                record["machine"] = found["machine"]
                record["tables"] += found["tables"]
            else:
                failure = f"FAILED: the part {name} ended with {code} and no result"
                print(failure, flush=True)
                record["tables"].append({"title": name, "rows": [], "notes": [], "failures": [failure]})
    return record


def passed_on(given: argparse.Namespace) -> list[str]:
    """Return the flags that are passed on to each part."""
    flags = {"--reference": given.reference, "--reference-packages": given.reference_packages, "--data": given.data}
    flags["--work"] = given.work
    words = [word for flag, value in flags.items() if value for word in (flag, str(value))]
    return [*words, "--threads", str(given.threads), *(["--quick"] if given.quick else [])]


def run_here(given: argparse.Namespace) -> dict[str, Any]:
    """Run one part in this process, with its own cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANVAS_CACHE"] = str(Path(folder) / "cache")
        from measure.machine import describe
        from measure.options import Options
        from measure.pictures import Pictures
        from measure.reference import find
        from measure.table import Table, markdown

        machine, name = describe(), given.only[0]
        try:
            reference = find(given.reference, given.reference_packages) if given.reference else None
            data = given.data.resolve() if given.data else None
            options = Options(reference, Pictures(data, Path(folder)), given.quick, given.work)
            module, function = PARTS[name].split(".")
            tables = getattr(importlib.import_module(f"measure.{module}"), function)(options)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the result of this part
            tables = [Table(name)]
            tables[0].fail(f"the part {name}", error)
    print(markdown(tables), end="\n\n", flush=True)
    return {"machine": machine, "tables": [table.as_record() for table in tables]}


if __name__ == "__main__":
    sys.exit(main())
