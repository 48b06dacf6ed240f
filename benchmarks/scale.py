"""Speed of redaction and translation per core, overhead of Ray, and estimated cores for 100 million pictures.

    python benchmarks/scale.py ../shared/data/horse2zebra/testB --pictures 64 --workers 2 --out scale.json

Networks run with one thread; a core-second is a second of processor time over all threads of the process, which depends
little on other load. Needs ganvas[ray]; about 6 minutes on two cores. Not measured: a network, shared storage, failing
machines, GPUs. docs/scale.md states the assumptions for these.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

MANY = 100_000_000
SHARD = 1_000_000
"""Pictures per call."""
CORES_OF_MACHINE = 64
WEEK = 7 * 24 * 3600
SEED = 0
Record = dict[str, Any]


def main() -> int:
    """Measure, compute, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of real pictures, which the content gate admits")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of manifest rows to read")
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    parser.add_argument("--memory", choices=("manifest", "audit", "files"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        print(json.dumps(memory_of(given.memory, given.folder, given.rows)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"OMP_NUM_THREADS": "1", "GANVAS_CACHE": folder + "/cache"}
        record = measure(given, Path(folder))
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    print_tables(record)
    return 0


def measure(given: argparse.Namespace, folder: Path) -> Record:
    """Measure everything; return the figures of one picture and of 100 million."""
    import torch

    torch.set_num_threads(1)
    photos = sample(given.folder, folder / "photos", given.pictures)
    bytes_in = statistics.mean(path.stat().st_size for path in photos.iterdir())
    rows = [measure_work(name, work, folder, given) for name, work in works(photos, folder).items()]
    return {
        "pictures": given.pictures, "workers": given.workers, "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2), "megapixels": megapixels(photos), "bytes_in": round(bytes_in),
        "work": rows, "ray": measure_ray(given.workers), "driver": measure_driver(folder, given.rows),
        "many": [estimate(row, bytes_in) for row in rows],
    }  # fmt: skip


def sample(source: Path, photos: Path, count: int) -> Path:
    """Copy `count` pictures, evenly spaced over the folder, or repeated if it has fewer."""
    from ganvas.image.files import list_images

    found = list_images(source, recursive=True)
    photos.mkdir()
    for number in range(count):
        path = found[number * max(1, len(found) // count) % len(found)]
        shutil.copy(path, photos / f"{number:05d}{path.suffix}")
    return photos


def megapixels(photos: Path) -> float:
    from ganvas.image.files import read_image

    return round(statistics.mean(p.height * p.width for p in map(read_image, photos.iterdir())) / 1e6, 3)


def works(photos: Path, folder: Path) -> dict[str, Callable[..., Any]]:
    """Return name -> function that processes the pictures, given the output folder and the backend."""
    from ganvas.api import redact
    from ganvas.inference.folder import translate_files

    run = write_run(folder / "run")
    translate = partial(translate_files, run, photos, device="cpu", progress=False)
    found: dict[str, Callable[..., Any]] = {"redact, nsfw": partial(redact, photos, classifier="nsfw")}
    if "precision" not in inspect.signature(translate_files).parameters:
        return found | {"translate, U-Net 256": translate}
    for precision in ("float32", "bfloat16"):
        found[f"translate, U-Net 256, {precision}"] = partial(translate, precision=precision)
    return found


def write_run(folder: Path) -> Path:
    """Write a run of pix2pix's U-Net for 256-pixel pictures, with random weights."""
    import torch

    from ganvas.image.picture import PictureSpec
    from ganvas.methods import Pix2PixConfig
    from ganvas.methods.base import build
    from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

    torch.manual_seed(SEED)
    record = RunRecord(method=Pix2PixConfig(), input=PictureSpec(), output=PictureSpec(), image_size=(256, 256))
    write_run_record(folder, record)
    method = build(record.method, input_channels=3, output_channels=3, image_size=record.image_size)
    save_snapshot(snapshot_path(folder, "last"), method.eval(), images_seen=1)
    return folder


def measure_work(name: str, work: Callable[..., Any], folder: Path, given: argparse.Namespace) -> Record:
    """Measure a workload in this process, on Ray, and again on Ray once all is done, with an empty score cache.

    The last measurement is startup and checking alone; subtracting it from the second gives the rate of the workers.
    """
    seconds, log = {}, ""
    for backend, settings in (("local", {}), ("ray", {"backend": "ray", "workers": given.workers})):
        out = folder / name / backend
        shutil.rmtree(folder / "cache", ignore_errors=True)
        seconds[backend] = timed(partial(work, out=out), **settings)
        log = next(path.name for path in out.iterdir() if path.suffix == ".jsonl")
    seconds["ray_again"] = timed(partial(work, out=folder / name / "ray"), backend="ray", workers=given.workers)
    written = [path for path in (folder / name / "ray").iterdir() if path.name != log]
    assert_same_bytes(folder / name / "local", written)
    inner = core_seconds(folder / name / "local" / log, work, folder / name / "warm")
    together = given.pictures / (seconds["ray"] - seconds["ray_again"])
    return {
        "work": name, "seconds_local": round(seconds["local"], 2), "seconds_ray": round(seconds["ray"], 2),
        "seconds_ray_all_done": round(seconds["ray_again"], 2),
        "core_seconds_a_picture": round(inner, 4), "pictures_a_core_second": round(1 / inner, 2),
        "pictures_a_second_of_workers": round(together, 2),
        "efficiency_of_workers": round(together * inner / min(given.workers, os.cpu_count() or 1), 2),
        "bytes_out": round(statistics.mean(path.stat().st_size for path in written)),
        "bytes_a_row": round((folder / name / "ray" / log).stat().st_size / given.pictures),
    }  # fmt: skip


def core_seconds(log: Path, work: Callable[..., Any], out: Path) -> float:
    """Return the core-seconds per picture in this process, with everything imported, including loading the weights."""
    shutil.rmtree(os.environ["GANVAS_CACHE"], ignore_errors=True)
    start = time.process_time()
    work(out=out)
    return (time.process_time() - start) / sum(1 for _ in log.open())


def timed(work: Callable[..., Any], **settings: Any) -> float:
    start = time.perf_counter()
    work(**settings)
    return time.perf_counter() - start


def assert_same_bytes(local: Path, written: Sequence[Path]) -> None:
    for path in written:
        assert path.read_bytes() == (local / path.name).read_bytes(), f"{path.name} differs between the backends"


def measure_ray(workers: int) -> Record:
    """Measure the startup of a cluster with workers that load nothing, and the cost of an empty job."""
    from ganvas.bulk.ray_backend import Work, spread

    def run(count: int) -> tuple[float, float]:
        start, first = time.perf_counter(), 0.0
        jobs = [{"name": f"{number:08d}", "source": "x" * 80, "target": "x" * 80} for number in range(count)]
        for _ in spread(jobs, Work(start=lambda: list, lost=lambda job, _: job, workers=workers)):
            first = first or time.perf_counter() - start
        return first, time.perf_counter() - start

    (first, small), (_, large) = run(640), run(32 * 640)
    return {
        "seconds_to_first_row": round(first, 2), "seconds_of_a_call": round(small, 2),
        "driver_ms_a_picture": round(1000 * (large - small) / (31 * 640), 3),
        "pictures_a_second_a_driver": round(31 * 640 / (large - small)),
    }  # fmt: skip


def measure_driver(folder: Path, rows: int) -> Record:
    """Measure the driver's memory per picture, for each kind of source in a separate process."""
    folder = folder / "driver"
    (folder / "files").mkdir(parents=True)
    return {kind: in_child(kind, folder, rows) for kind in ("manifest", "audit", "files")}


def in_child(kind: str, folder: Path, rows: int) -> Record:
    command = [sys.executable, __file__, str(folder), "--memory", kind, "--rows", str(rows)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def memory_of(kind: str, folder: Path, rows: int) -> Record:
    """Return the bytes of memory and microseconds per row or file."""
    from ganvas.bulk.journal import Journal, joined_hashes
    from ganvas.redaction.redact_files import find_sources
    from ganvas.redaction.redaction_log import open_log

    rows = min(rows, 50_000) if kind == "files" else rows
    write = {"manifest": write_manifest, "audit": write_audit, "files": write_files}[kind]
    write(folder, rows)
    reads: dict[str, Callable[[], object]] = {
        "manifest": lambda: Journal(
            folder / "translate.jsonl",
            name_key="name",
            proof_of=lambda row: joined_hashes(row, "settings", "input", "output"),
        ),
        "audit": lambda: open_log(folder),
        "files": lambda: find_sources(folder / "files", folder / "out", set()),
    }
    before, start = resident(), time.perf_counter()
    kept = reads[kind]()
    seconds, after = time.perf_counter() - start, resident()
    del kept
    return {"rows": rows, "bytes_a_row": round((after - before) / rows), "us_a_row": round(1e6 * seconds / rows, 2)}


def name_of(number: int) -> str:
    return f"{number // 1000:06d}/{number:09d}.jpg"


def write_manifest(folder: Path, rows: int) -> None:
    row = {"kind": "ManifestRow", "settings": "0" * 64, "problem": None, "notes": []}
    with (folder / "translate.jsonl").open("w") as file:
        for number in range(rows):
            proof = {"name": name_of(number), "input": f"{number:064x}", "output": f"{number:064x}"}
            file.write(json.dumps(row | proof) + "\n")


def write_audit(folder: Path, rows: int) -> None:
    scores = {"record": 0.012345, "dense": 0.023456, "window": 0.123456}
    row = {"settings": "0" * 64, "region": {"boxes": []}, "score_before": scores, "score_after": scores}
    with (folder / "redaction.jsonl").open("w") as file:
        for number in range(rows):
            proof = {"file": name_of(number), "sha256_in": f"{number:064x}", "sha256_out": f"{number:064x}"}
            file.write(json.dumps(row | proof) + "\n")


def write_files(folder: Path, count: int) -> None:
    for number in range(count):
        path = folder / "files" / name_of(number)
        path.parent.mkdir(exist_ok=True)
        path.touch()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def estimate(row: Record, bytes_in: float) -> Record:
    """Estimate the cost of 100 million such pictures on such cores without other load."""
    core_seconds = MANY * row["core_seconds_a_picture"]
    return {
        "work": row["work"],
        "core_hours": round(core_seconds / 3600),
        "machines_for_a_week": round(core_seconds / WEEK / CORES_OF_MACHINE, 2),
        "read_TB": round(MANY * bytes_in / 1e12, 2),
        "written_TB": round(MANY * row["bytes_out"] / 1e12, 2),
        "GB_a_second_in_a_week": round(MANY * (bytes_in + row["bytes_out"]) / WEEK / 1e9, 3),
        "files_a_second_in_a_week": round(MANY / WEEK),
        "manifest_GB": round(MANY * row["bytes_a_row"] / 1e9, 1),
        "inodes": 2 * MANY,
    }


def print_tables(record: Record) -> None:
    from rich.console import Console
    from rich.table import Table

    for part, title in (("work", "measured"), ("many", f"{MANY:,} such pictures, {CORES_OF_MACHINE} cores a machine")):
        table = Table("", *(row["work"] for row in record[part]), title=title)
        for key in list(record[part][0])[1:]:
            table.add_row(key, *(str(row[key]) for row in record[part]))
        Console().print(table)
    Console().print({key: value for key, value in record.items() if key not in ("work", "many")})


if __name__ == "__main__":
    sys.exit(main())
