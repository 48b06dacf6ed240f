"""Ray backend: processes many files on the workers of a cluster and returns one row per job, whatever fails.

The driver distributes blocks of jobs and is the only process that writes manifests; workers read and write the files on
a file system that all machines share. Ray is imported when it is used.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ganvas.errors import ConfigError, GanvasError, MissingDependency

__all__ = ["Backend", "RayWork", "RayWorker", "Record", "check_workers", "spread"]

Backend = Literal["local", "ray"]
"""Backend: this process, or the workers of a Ray cluster."""
Record = dict[str, Any]
"""Serializable as JSON."""
RayWorker = Callable[[Sequence[Record]], Iterable[Record]]
"""Function from jobs to one row for each, in order."""
BLOCK = 32
"""Jobs per block: the unit that is repeated when a worker dies."""
FEW = 16
"""Largest number of lost jobs for which each is retried in its own worker."""
RETRIES = 2
"""Retries of a block whose worker died, and then of each of its jobs alone."""
STARTS = 3
"""Number of workers in a row that may die while loading."""
STORE = 256 * 2**20
"""Shared memory in bytes for jobs and rows of a cluster on this machine; pictures do not pass through it."""
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Environment of a cluster on this machine. The first variable makes Ray listen on 127.0.0.1 only."""


@dataclass(frozen=True, kw_only=True)
class RayWork:
    """Description of the work of a cluster on many jobs.

    Attributes:
        start: called once in each worker, to load models.
        lost: job and reason -> the row of a job whose worker died at each attempt.
        workers: number of workers; None for one per core of the cluster, or one per GPU.
        on_gpu: whether each worker reserves a GPU; None: if the cluster has any.
    """

    start: Callable[[], RayWorker]
    lost: Callable[[Record, str], Record]
    workers: int | None = None
    on_gpu: bool | None = False


def check_workers(backend: Backend, workers: int | None) -> None:
    """Check the options and packages of a cluster before anything is read.

    Raises:
        ConfigError: an invalid number of workers.
        MissingDependency: Ray is requested but not installed.
    """
    if workers is not None and (backend == "local" or workers < 1):
        raise ConfigError(f"workers {workers}: give 1 or more, and --backend ray")
    if backend == "ray":
        _import_ray()


def spread(jobs: Sequence[Record], work: RayWork) -> Generator[list[tuple[int, Record]]]:
    """Yield (job number, row) block by block as they finish; close the generator to release the cluster.

    The cluster is the one that the program has joined, else that of RAY_ADDRESS, else one started for this call on this
    machine. A block whose worker died is retried, finally job by job, so that only a job that kills its worker is lost.

    Raises:
        MissingDependency: Ray is not installed.
        GanvasError: the cluster cannot be joined, or a worker had an error that is not specific to a picture.
    """
    left = dict(enumerate(jobs))
    with _joined(work.workers) as ray:
        there = ray.cluster_resources()
        work = replace(work, on_gpu="GPU" in there if work.on_gpu is None else work.on_gpu)
        workers = work.workers or max(1, int(there.get("GPU" if work.on_gpu else "CPU", 1)))
        for size in (max(1, min(BLOCK, len(jobs) // (4 * workers))), 1):
            yield from _done(left, _pass(ray, left, work, size=size, workers=min(workers, len(left))) if left else ())
        # A job may have died with the one before it in its worker's queue, so each of a few gets its own worker
        for number in list(left) if len(left) <= FEW else ():
            yield from _done(left, _pass(ray, {number: left[number]}, work, size=1, workers=1))
    if left:
        reason = f"its worker died each of the {RETRIES + 1} times it was tried alone; it may need more memory"
        yield [(number, work.lost(job, reason)) for number, job in left.items()]


def _done(left: dict[int, Record], blocks: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield the finished blocks, and remove their jobs from the remaining ones."""
    for rows in blocks:
        for number, _ in rows:
            del left[number]
        yield rows


class _Actor:
    """Worker inside Ray; its blocks are JSON."""

    def __init__(self, start: Callable[[], RayWorker], folder: str) -> None:
        self._worker: RayWorker | None = None
        self._problem = ""
        with self._noting_problems():
            os.chdir(folder)  # paths may be relative
            self._worker = start()

    def __call__(self, block: dict[str, str]) -> dict[str, str]:
        numbers, jobs = json.loads(block["jobs"])
        rows: list[tuple[int, Record]] = []
        with self._noting_problems():
            rows = list(zip(numbers, self._worker(jobs), strict=True)) if self._worker else []
        return {"rows": json.dumps(rows), "problem": self._problem}

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        """Send errors to the driver as text; an exception raised here would look like a missing block."""
        try:
            yield
        except Exception as error:
            logging.getLogger(__name__).exception("a worker failed")
            known = isinstance(error, (GanvasError, OSError))
            self._problem = f"{platform.node()}: {error}" if known else traceback.format_exc()


def _pass(ray: Any, left: dict[int, Record], work: RayWork, *, size: int, workers: int) -> Iterator[list[Any]]:
    """Yield the rows of each finished block; missing rows were lost with their worker."""
    data = ray.data.from_items(list(_blocks(left, size)), override_num_blocks=-(-len(left) // size))
    data.context.max_errored_blocks = -1
    data.context.max_consecutive_actor_init_deaths = STARTS
    data.context.enable_progress_bars = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.60: max_restarts and max_task_retries go in 2.64
        data = data.map(
            _Actor,
            fn_constructor_args=(work.start, str(Path.cwd())),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=1 if work.on_gpu else None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    for block in data.iter_rows():
        if block["problem"]:
            raise GanvasError(
                f"a worker failed for a reason other than a picture; all machines must see the same files and run "
                f"the same ganvas: {block['problem']}"
            )
        yield json.loads(block["rows"])


def _blocks(jobs: dict[int, Record], size: int) -> Iterator[dict[str, str]]:
    numbers = list(jobs)
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        yield {"jobs": json.dumps([part, [jobs[number] for number in part]])}


@contextmanager
def _joined(workers: int | None) -> Iterator[Any]:
    """Yield Ray connected to a cluster; disconnect if this call connected it."""
    address = os.environ.get("RAY_ADDRESS") or "local"
    alone = address == "local"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone and "ray" not in sys.modules:  # which reads them when it is imported
        for name, value in {**LOCAL, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            os.environ.setdefault(name, value)
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    settings = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE} if alone else {}
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **settings)
        yield ray
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise GanvasError(f"Ray: {error}") from error
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray.data  # optional dependency
    except ImportError as error:
        raise MissingDependency("Ray Data", "ray", "--backend ray") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray
