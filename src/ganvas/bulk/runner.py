"""Runner of a command over many inputs: finds and processes them resumably, locally or on a Ray cluster."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ganvas.bulk.journal import Journal, Record
from ganvas.bulk.ray_backend import Backend, RayWork, spread
from ganvas.errors import InputError
from ganvas.filesystem import require_outside
from ganvas.filesystem.listing import list_folder
from ganvas.image.files import IMAGE_SUFFIXES, list_images, require_regular, warn_of_repeated, warn_of_skipped
from ganvas.progress import SILENT, Progress
from ganvas.serialization import from_record, to_record

__all__ = [
    "PROBLEM",
    "Division",
    "Job",
    "Result",
    "Task",
    "Worker",
    "find_files",
    "names_file",
    "require_suffix",
    "run_jobs",
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input of a command, as the runner passes it to a worker; serializable as JSON.

    Attributes:
        name: path relative to the source folder, with forward slashes.
        source: the file.
        target: the file to write; None for an input that cannot be processed, which is listed as failed.
        proof: see `Journal.proof`.
        known: see `Journal.knows`; only then may an existing `target` be replaced.
        part: for a job that is a part of an input, the part that `Task.divide` yielded; None for a whole input.
    """

    name: str
    source: Path
    target: Path | None
    proof: str | None = None
    known: bool = False
    part: Record | None = None


def names_file(out: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> bool:
    """Return whether `out` names an output file; otherwise it is a folder, existing or to be created.

    Raises:
        InputError: it has a file suffix that is not supported.
    """
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() in suffixes:
        return True
    known = ", ".join(sorted(suffixes))
    raise InputError(
        f"{out}: {out.suffix} cannot be written; use one of {known}, or create a folder of that name first"
    )


def require_suffix(suffix: str | None, suffixes: Collection[str] = IMAGE_SUFFIXES) -> None:
    """Raise InputError if a suffix such as ".tif" belongs to no supported format."""
    if suffix is not None and suffix.lower() not in suffixes:
        raise InputError(f"suffix {suffix!r} is not supported; use one of {', '.join(sorted(suffixes))}")


def find_files(
    source: Path,
    out: Path,
    *,
    recursive: bool = True,
    every: bool = False,
    also: Callable[[Path], bool] = lambda _: False,
    apart: Sequence[Path] = (),
) -> dict[str, Path]:
    """Return name -> file for a file, or for the files of a folder in plain order of their names.

    Files in the output folder are results of an earlier call, never inputs. Skipped entries are named in a warning.

    Args:
        source: a file or a folder.
        out: the output folder, or for one file also a file name.
        recursive: include folders below `source`.
        every: include files that are not pictures, so that each visible file is reported.
        also: predicate of further files to include, for example videos.
        apart: files in the folder that are not inputs, such as a log or a file of boxes, with links resolved.

    Raises:
        InputError: no input exists, or `out` is inside `source`.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the name")
    if not source.is_dir():
        require_regular(source)
        return {source.name: source}
    require_outside(out, source)
    if every:
        listing = list_folder(source)
        warn_of_repeated(source, listing)
        paths = listing.files
    else:
        paths = list_images(source, recursive=recursive, also=also)
        warn_of_skipped(source, recursive=recursive, out=out, also=also)
    # Links may lead into the output folder. Where the source itself is inside it, nothing is excluded.
    root = Path(os.path.realpath(source))
    excluded = [path for path in (Path(os.path.realpath(out)), *apart) if not root.is_relative_to(path)]
    paths = [path for path in paths if not _lies_in_any(Path(os.path.realpath(path)), excluded)]
    if not paths:
        kinds = "files in it" if every else f"pictures in it ({', '.join(sorted(IMAGE_SUFFIXES))})"
        raise InputError(f"{source}: no {kinds}")
    return {path.relative_to(source).as_posix(): path for path in paths}


def _lies_in_any(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of one job, serializable as JSON.

    Attributes:
        line: the line for the journal; None if the output of an earlier call is still valid.
        refusal: the refusal of the content gate, as `PolicyRefusal.as_arguments` returns it.
    """

    line: Record | None
    refusal: Record | None = None


Worker = Callable[[Sequence[Job], Progress], Iterable[Sequence[Result]]]
"""Function from jobs to groups of results, in order; a group is journaled together."""
Division = Generator[Sequence[Record], Sequence[Result], Result]
"""Division of an input: yields the parts of each pass as JSON, is sent their results, and returns the input's
result."""
PROBLEM = "problem"
"""Key of the line of a part that failed."""
MOST_DIVIDED = 200
"""Largest number of inputs divided at once, since each holds a lock. Further inputs are processed whole."""


def _undivided(_job: Job) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Picklable description of the work of a command on each input.

    Attributes:
        name: shown beside the progress bar.
        start: loads models and returns a worker; called once here, or once in each worker of the cluster.
        lost: job and reason -> the journal line of a job whose worker died at each attempt.
        on_gpu: see `RayWork`.
        divide: job -> its division into parts that a cluster processes at once; None for a job that is not divided.
    """

    name: str
    start: Callable[[], Worker]
    lost: Callable[[Job, str], Record]
    on_gpu: bool | None = False
    divide: Callable[[Job], Division | None] = _undivided


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

    Only the driver writes the journal. Close the generator to stop the work: journaled results remain, and the same
    command resumes from there.

    Args:
        jobs: the inputs.
        task: what to do with each.
        journal: the journal; None for a single output file.
        backend: `local`, or `ray` for the workers of a cluster.
        workers: number of workers of a cluster; None for one per core, or one per GPU.
        progress: receives the number of finished jobs, and can cancel.

    Raises:
        Cancelled: see `Progress.check`.
        GanvasError: see `ganvas.bulk.ray_backend.spread`.
    """
    if journal is not None:  # a remote worker has no access to the journal, so each job carries its entries
        jobs = [replace(job, proof=journal.proof(job.name), known=journal.knows(job.name)) for job in jobs]
    blocks = _on_ray(jobs, task, workers, progress) if backend == "ray" else _here(jobs, task, progress)
    progress(task.name, done := 0, len(jobs))
    with closing(blocks):
        for block in blocks:
            if journal is not None and (lines := [one.line for _, one in block if one.line is not None]):
                journal.add(lines)  # before reporting, so that reported results are on disk
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
        if isinstance(results, Generator):  # stops the worker's threads
            results.close()


def _on_ray(jobs: Sequence[Job], task: Task, workers: int | None, progress: Progress) -> Blocks:
    """Yield results as they arrive: of whole inputs immediately, of divided inputs after their last part."""
    sent = replace(task, divide=_undivided)  # workers do not divide inputs
    work = RayWork(start=partial(_RayWorker, sent), lost=partial(_lost, sent), workers=workers, on_gpu=task.on_gpu)
    with ExitStack() as stack:
        # Divisions run here, since they hold locks; each pass sends the parts of all inputs at once to the cluster.
        divided = _Divided(jobs, task, stack)
        if divided.finished:
            yield divided.taken()
        todo = divided.next_pass()
        while todo:
            with closing(spread([to_record(job) for _, job in todo], work)) as blocks:
                for block in blocks:
                    for index, row in block:
                        divided.add(index, from_record(Result, row))
                    yield divided.taken()
                    progress(f"{task.name}: parts", *divided.counts)
            todo = divided.next_pass()


class _Divided:
    """Inputs that a cluster is processing, whole or in parts.

    Attributes:
        finished: results that the caller has not taken yet.
    """

    def __init__(self, jobs: Sequence[Job], task: Task, stack: ExitStack) -> None:
        self._jobs = jobs
        self.finished: list[tuple[int, Result]] = []
        self._coming: list[tuple[int, Job]] = []
        self._todo: list[tuple[int, Job]] = []
        self._results: dict[int, dict[int, Result]] = {}
        self._missing: dict[int, int] = {}
        self._divisions: dict[int, Division] = {}
        for number, job in enumerate(jobs):
            division = task.divide(job) if len(self._divisions) < MOST_DIVIDED else None
            if division is None:
                self._coming.append((number, job))
                continue
            stack.callback(division.close)
            self._divisions[number] = division
            self._advance(number, None)

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of finished jobs and of all jobs of the pass."""
        return len(self._todo) - sum(self._missing.values()), len(self._todo)

    def next_pass(self) -> list[tuple[int, Job]]:
        """Return the jobs of the next pass, each with the number of its input; empty at the end."""
        self._todo, self._coming = self._coming, []
        self._missing = Counter(number for number, _ in self._todo)
        self._results = defaultdict(dict)
        return self._todo

    def add(self, index: int, result: Result) -> None:
        """Add the result of one job of this pass."""
        number, job = self._todo[index]
        self._missing[number] -= 1
        if job.part is None:
            self.finished.append((number, result))
            return
        self._results[number][index] = result
        if not self._missing[number]:
            self._advance(number, [result for _, result in sorted(self._results.pop(number).items())])

    def taken(self) -> list[tuple[int, Result]]:
        """Return the results finished since the last call."""
        taken, self.finished = self.finished, []
        return taken

    def _advance(self, number: int, results: Sequence[Result] | None) -> None:
        """Resume a division with the results of its parts."""
        division = self._divisions[number]
        try:
            parts = next(division) if results is None else division.send(results)
            while not parts:  # an earlier call finished every part
                parts = division.send([])
        except StopIteration as end:
            self.finished.append((number, end.value))
        else:
            self._coming += [(number, replace(self._jobs[number], part=part)) for part in parts]


class _RayWorker:
    """Worker in another process: records of jobs -> records of results."""

    def __init__(self, task: Task) -> None:
        self._worker = task.start()

    def __call__(self, records: Sequence[Record]) -> list[Record]:
        jobs = [from_record(Job, record) for record in records]
        return [to_record(result) for block in self._worker(jobs, SILENT) for result in block]


def _lost(task: Task, record: Record, reason: str) -> Record:
    job = from_record(Job, record)
    lost: Record = to_record(Result(line=task.lost(job, reason) if job.part is None else {PROBLEM: reason}))
    return lost
