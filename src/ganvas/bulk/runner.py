"""Runner of a command over many inputs: resumable, on this machine or on the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from ganvas.bulk.journal import Journal, Record
from ganvas.bulk.ray_backend import Backend, RayWork, spread
from ganvas.bulk.sources import Job
from ganvas.progress import SILENT, Progress
from ganvas.serialization import from_record, to_record

__all__ = ["Result", "Task", "Worker", "run_jobs"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one job; ready for JSON.

    Attributes:
        line: the line for the journal; None where the output of an earlier call is still valid.
        refusal: the refusal of the content gate, as `PolicyRefusal.as_arguments` returns it.
    """

    line: Record | None
    refusal: Record | None = None


Worker = Callable[[Sequence[Job], Progress], Iterable[Sequence[Result]]]
"""Jobs -> their results in order, some at a time: those are journaled together."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A command's work on each of many inputs; can be pickled.

    Attributes:
        name: shown beside the progress bar.
        start: returns a worker; called once here, or once in each worker of the cluster, to load what it needs.
        lost: job and reason -> the journal line of a job whose worker died whenever it was tried.
        on_gpu: see `RayWork`.
    """

    name: str
    start: Callable[[], Worker]
    lost: Callable[[Job, str], Record]
    on_gpu: bool | None = False


def run_jobs(
    jobs: Sequence[Job],
    task: Task,
    journal: Journal | None,
    *,
    backend: Backend = "local",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Generator[tuple[Job, Result]]:
    """Yield each job with its result, once it is in the journal.

    The driver alone writes the journal. Close the generator to stop the work: what is journaled stays, and the same
    command resumes from there.

    Args:
        jobs: the inputs.
        task: what to do with each.
        journal: None for a single output file, which needs none.
        backend: `local`, or `ray` for the workers of a cluster.
        workers: number of workers of a cluster; None for one a core, or one a GPU.
        progress: receives the number of finished jobs, and cancels.

    Raises:
        Cancelled: see `Progress.check`.
        GanvasError: see `ganvas.bulk.ray_backend.spread`.
    """
    if journal is not None:  # a worker elsewhere does not see the journal, so each job carries what it says
        jobs = [replace(job, proof=journal.proof(job.name), known=journal.knows(job.name)) for job in jobs]
    blocks = _on_ray(jobs, task, workers) if backend == "ray" else _here(jobs, task, progress)
    progress(task.name, done := 0, len(jobs))
    with closing(blocks):
        for block in blocks:
            if journal is not None and (lines := [one.line for _, one in block if one.line is not None]):
                journal.add(lines)  # before anything is reported: what is reported is on disk
            for number, result in block:
                progress(task.name, done := done + 1, len(jobs))
                yield jobs[number], result
            progress.check()


Blocks = Generator[list[tuple[int, Result]]]


def _here(jobs: Sequence[Job], task: Task, progress: Progress) -> Blocks:
    done = 0
    results = iter(task.start()(jobs, progress))
    try:
        for block in results:
            yield list(enumerate(block, start=done))
            done += len(block)
    finally:
        if isinstance(results, Generator):  # stops its threads
            results.close()


def _on_ray(jobs: Sequence[Job], task: Task, workers: int | None) -> Blocks:
    work = RayWork(start=partial(_RayWorker, task), lost=partial(_lost, task), workers=workers, on_gpu=task.on_gpu)
    with closing(spread([to_record(job) for job in jobs], work)) as blocks:
        for block in blocks:
            yield [(number, from_record(Result, row)) for number, row in block]


class _RayWorker:
    """Worker in another process: records of jobs -> records of results."""

    def __init__(self, task: Task) -> None:
        self._worker = task.start()

    def __call__(self, records: Sequence[Record]) -> list[Record]:
        jobs = [from_record(Job, record) for record in records]
        return [to_record(result) for block in self._worker(jobs, SILENT) for result in block]


def _lost(task: Task, record: Record, reason: str) -> Record:
    lost: Record = to_record(Result(line=task.lost(from_record(Job, record), reason)))
    return lost
