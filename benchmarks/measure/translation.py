"""Part `translate`: translation of a folder by a U-Net 256 as a whole process, with startup, files and content gate."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from measure.child import run, run_json, seconds_of
from measure.machine import measured_precisions
from measure.options import Options
from measure.pictures import opened
from measure.table import Row, Table
from measure.timing import Timing, in_turn, ratio, timer

GANVAS = (sys.executable, "-m", "ganvas")
REFERENCE = "reference test.py"
NOTES = (
    "{pictures} pictures of 256x256 ({origin}) as PNG, U-Net 256 with the reference's weights on both sides, no "
    "dropout, batch statistics of each picture alone. Whole processes in turn. The reference also writes each input "
    "and a page, and has no content gate. `scores known`: every picture and translation was scored before.",
    "The gate alone: {scores} scores take {score:.1f} s one after the other, {known:.2f} s when known; its model loads "
    "in {load:.2f} s.",
)


@dataclass(frozen=True)
class Job:
    """Input and outputs of the variants.

    Attributes:
        run: our run folder.
        checkpoints: checkpoints of the reference, with the same weights.
    """

    source: Path
    run: Path
    checkpoints: Path
    out: Path
    options: Options

    def ours(self, precision: str, *, known: bool) -> Callable[[], object]:
        """Return a call of `ganvas translate`; the score cache is empty, or with `known` filled by an earlier call."""
        out, cache = self.out / f"ganvas-{precision}", self.out / f"cache-{precision}"
        words = [*GANVAS, "translate", str(self.run), str(self.source), str(out)]
        if precision != "float32":
            words += ["--precision", precision]

        def translate() -> None:
            shutil.rmtree(out, ignore_errors=True)
            if not known:
                shutil.rmtree(cache, ignore_errors=True)
            seconds_of(words, environment={"GANVAS_CACHE": str(cache)})

        return translate

    def theirs(self) -> Callable[[], object]:
        """Return a call of the reference's test script."""
        reference, out = self.options.reference, self.out / "reference"
        assert reference is not None
        words = [sys.executable, "-m", "measure.reference_script", reference.checkout, reference.packages]
        words += [str(reference.schemas), "test.py", "--model", "test", "--netG", "unet_256", "--norm", "batch"]
        words += ["--no_dropout", "--dataroot", str(self.source), "--checkpoints_dir", str(self.checkpoints)]
        words += ["--name", "unet", "--results_dir", str(out), "--num_test", "100000"]

        def test() -> None:
            shutil.rmtree(out, ignore_errors=True)
            run(words)

        return test


def measure_translation(options: Options) -> list[Table]:
    """Return a table with a row for each variant, and the cost of the gate in a note."""
    pictures = options.of(200, 40)
    job = _prepare(options, pictures)
    table = Table("Translating a folder")
    variants = _variants(job, measured_precisions(table))
    timers = {name: timer(work) for name, work in variants.items()}
    timings = in_turn(timers, rounds=options.of(3, 2), budget=options.of(540, 90))
    table.rows = [_row(name, timings, pictures) for name in variants]
    made = job.out / "ganvas-float32"
    folders = [str(job.source), str(made)]
    environment = {"GANVAS_CACHE": str(options.pictures.work / "gate")}
    gate = run_json("gate_child", {"folders": folders, "threads": torch.get_num_threads()}, environment=environment)
    table.notes.append(NOTES[0].format(pictures=pictures, origin=options.pictures.origin))
    table.notes.append(NOTES[1].format(scores=gate["pictures"], **gate))
    if options.reference:
        table.notes.append(_agreement(job))
    return [table]


def _variants(job: Job, precisions: Sequence[str]) -> dict[str, Callable[[], object]]:
    variants = {REFERENCE: job.theirs()} if job.options.reference else {}
    for precision in precisions:
        variants[f"ganvas {precision}"] = job.ours(precision, known=False)
        variants[f"ganvas {precision}, scores known"] = job.ours(precision, known=True)
    return variants


def _row(name: str, timings: dict[str, Timing], pictures: int) -> Row:
    timing = timings[name]
    return {
        "variant": name,
        "seconds": timing.median,
        "fastest-slowest": timing.spread,
        "pictures/s": pictures / timing.median,
        "x reference": ratio(timings[REFERENCE], timing) if REFERENCE in timings else None,
    }


def _prepare(options: Options, pictures: int) -> Job:
    """Write pictures, a checkpoint of the reference and the run imported from it; or just a run without a reference."""
    work = options.pictures.work
    checkpoint = work / "checkpoints" / "unet" / "latest_net_G.pth"
    checkpoint.parent.mkdir(parents=True)
    torch.manual_seed(0)
    if options.reference:
        torch.save(options.reference.generator("unet_256", norm="batch").state_dict(), checkpoint)
        run([*GANVAS, "import", checkpoint, "--out", work / "run"])
    else:
        _untrained_run(work / "run")
    return Job(options.pictures.halves(pictures), work / "run", work / "checkpoints", work / "out", options)


def _untrained_run(folder: Path) -> None:
    from ganvas.image.picture import PictureSpec
    from ganvas.methods import Pix2PixConfig
    from ganvas.methods.base import build
    from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

    config, size, spec = Pix2PixConfig(dropout=0.0), (256, 256), PictureSpec(channels=3)
    method = build(config, input_channels=3, output_channels=3, image_size=size)
    save_snapshot(snapshot_path(folder, "last"), method, images_seen=0)
    write_run_record(folder, RunRecord(method=config, input=spec, output=spec, image_size=size))


def _agreement(job: Job) -> str:
    """Return the mean difference between the pictures of both sides, as evidence that both did the same work."""
    theirs = {path.name.removesuffix("_fake.png"): path for path in job.out.rglob("reference/**/*_fake.png")}
    differences = []
    for folder in sorted(job.out.glob("ganvas-*")):
        gaps = [_gap(path, theirs[path.stem]) for path in sorted(folder.glob("*.png"))]
        differences.append(f"{folder.name.removeprefix('ganvas-')} {np.mean(gaps):.2f} ({len(gaps)} pictures)")
    return (
        "Mean difference from the reference's pictures in gray levels of 255, which it rounds down: "
        f"{', '.join(differences)}."
    )


def _gap(one: Path, other: Path) -> float:
    a, b = (np.asarray(opened(path), dtype=np.int16) for path in (one, other))
    return float(np.abs(a - b).mean())
