"""Translation of a folder on a Ray cluster: workers translate, the driver keeps the manifest and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ganvas.bulk.ray_backend import Record, Work, Worker, spread
from ganvas.errors import PolicyRefusal
from ganvas.inference.jobs import Job, TranslationReport
from ganvas.inference.manifest import BlockManifest, Manifest, ManifestRow
from ganvas.progress import track
from ganvas.serialization import from_record, to_record

__all__ = ["translate_on_ray"]

TranslateAll = Callable[[Sequence[Job], Manifest, TranslationReport], None]
"""Translates pictures; results go to the manifest and the report."""


def translate_on_ray(
    jobs: Sequence[Job],
    manifest: Manifest,
    report: TranslationReport,
    *,
    start: Callable[[], TranslateAll],
    workers: int | None,
    device: str,
    progress: bool,
) -> None:
    """Translate pictures on the workers of a cluster, with the same manifest and report as a local run.

    Args:
        jobs: the pictures.
        manifest: of the output folder; rows are added as blocks of pictures are done.
        report: to be filled.
        start: called in each worker; loads the run.
        workers: how many; None for one a core, or one a GPU.
        device: as the user gave it.
        progress: show a bar.

    Raises:
        GanvasError: see `spread`.
    """
    work = Work(
        start=partial(_start, start, manifest.settings),
        lost=partial(_lost, manifest.settings),
        workers=workers,
        on_gpu=None if device == "auto" else device.startswith("cuda"),
    )
    records = [{**to_record(job), "proof": manifest.proof(job.name), "known": manifest.knows(job.name)} for job in jobs]
    with closing(spread(records, work)) as blocks:
        steps = (item for block in blocks for item in _noted(block, manifest))
        for number, row in track(steps, "translate", total=len(jobs), shown=progress):
            _take(row, jobs[number], report)


@dataclass(frozen=True)
class _Translator:
    """Callable inside a worker: jobs -> rows."""

    translate_all: TranslateAll
    settings: str

    def __call__(self, records: Sequence[Record]) -> list[Record]:
        jobs = [Job(Path(record["source"]), Path(record["target"]), record["name"]) for record in records]
        proofs = {record["name"]: record["proof"] for record in records}
        manifest = BlockManifest(self.settings, proofs, {record["name"] for record in records if record["known"]})
        report = TranslationReport()
        self.translate_all(jobs, manifest, report)
        return [_record(manifest.rows.get(job.name), report.refused.get(job.name)) for job in jobs]


def _start(start: Callable[[], TranslateAll], settings: str) -> Worker:
    return _Translator(start(), settings)


def _record(row: ManifestRow | None, refusal: PolicyRefusal | None) -> Record:
    """Return a worker's result for one picture; without a row if the picture was already translated."""
    refused = refusal and {"name": refusal.name, "reason": refusal.reason, "score": refusal.score}
    return {"row": row and to_record(row), "refusal": refused}


def _lost(settings: str, job: Record, reason: str) -> Record:
    return _record(ManifestRow(name=job["name"], input="", settings=settings, output=None, problem=reason), None)


def _noted(block: list[tuple[int, Record]], manifest: Manifest) -> list[tuple[int, Record]]:
    """Add the block's rows to the manifest, and return the block."""
    if rows := [from_record(ManifestRow, record["row"]) for _, record in block if record["row"]]:
        manifest.add(*rows)
    return block


def _take(record: Record, job: Job, report: TranslationReport) -> None:
    if record["row"] is None:
        report.skipped.append(job.target)
    elif record["refusal"]:
        report.refused[job.name] = PolicyRefusal(**record["refusal"])
    elif problem := record["row"]["problem"]:
        report.failures[job.name] = problem
    else:
        report.written.append(job.target)
        report.notes.update(record["row"]["notes"])
