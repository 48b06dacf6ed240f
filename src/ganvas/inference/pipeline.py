"""Worker that translates many pictures: each thread reads, gates, translates, gates and writes a few at a time.

Results, their order, errors and refusals are those of one picture after the other. Few pictures are held at once,
fewer the larger they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Semaphore

import torch

from ganvas.bulk.journal import Record, hash_files
from ganvas.bulk.runner import Result
from ganvas.bulk.sources import Job
from ganvas.content_gate import admit, write_synthetic
from ganvas.errors import FILE_ERRORS, ImageError, PolicyRefusal, problem_of
from ganvas.image.files import read_image, read_label, read_size
from ganvas.image.label import SOURCE_TYPE, SyntheticLabel
from ganvas.image.masks import composite, find_mask, read_mask
from ganvas.image.picture import Picture
from ganvas.inference.device import cores_beside, cores_for_networks
from ganvas.inference.translation import Translation
from ganvas.inference.translator import Translator
from ganvas.progress import Progress
from ganvas.serialization import to_record

__all__ = ["NetworkPlaces", "PictureWorker", "Settings", "lost", "write_result"]

GROUP = 4
"""Pictures that one thread takes at once: the cache of scores is opened once for them."""
GROUP_PIXELS = 2**21
"""Larger groups are split."""
PIXELS_AHEAD = 2**25
"""Pixels in progress at once; a larger picture is processed alone."""
SMALL_PIXELS = 2**19
"""Pixels of a result up to which another picture may be in the network at the same time."""


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One picture, as a line of the manifest.

    Attributes:
        name: of the picture, relative to the source folder.
        input: SHA-256 of the file, and of its mask where there is one.
        settings: SHA-256 of the run's snapshot and everything else that decides the result.
        output: SHA-256 of the written file; None where nothing was written.
        problem: why nothing was written.
        notes: for the user, on the result.
    """

    name: str
    input: str
    settings: str
    output: str | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything except the picture that determines a result.

    Attributes:
        translator: the loaded run.
        label: marks what is written as synthetic.
        tile: see `Translator.tiled`; None for whole pictures.
        overlap: see `Translator.tiled`.
        masks: a mask, or a folder with one for each picture; None to replace whole pictures.
    """

    translator: Translator
    label: SyntheticLabel
    tile: int | None
    overlap: int | None
    masks: Path | None


@dataclass
class _Item:
    """One picture in progress.

    Attributes:
        job: where from and where to.
        input: see `ManifestRow`.
        picture: as read, until its translation is written.
        output: see `ManifestRow`.
        notes: see `ManifestRow`.
        error: why nothing was written.
        is_done: an earlier call wrote it.
    """

    job: Job
    input: str = ""
    picture: Picture | None = None
    output: str | None = None
    notes: tuple[str, ...] = ()
    error: Exception | None = None
    is_done: bool = False

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Record an error of this picture, of which nothing is written then; the others continue."""
        try:
            yield
        except FILE_ERRORS as error:
            self.error, self.notes = error, ()

    def result(self, identity: str) -> Result:
        """Return the picture's line for the manifest, and its refusal."""
        if self.is_done:
            return Result(line=None)
        refusal = self.error if isinstance(self.error, PolicyRefusal) else None
        row = ManifestRow(
            name=self.job.name,
            input=self.input,
            settings=identity,
            output=self.output,
            problem=None if self.error is None else problem_of(self.error),
            notes=self.notes,
        )
        return Result(line=to_record(row), refusal=None if refusal is None else refusal.as_arguments())


class PictureWorker:
    """Worker of the bulk runner: translates groups of pictures in threads and yields their results in order.

    Args:
        settings: what determines a result.
        identity: SHA-256 of the settings and of the run's files, for the manifest.
    """

    def __init__(self, settings: Settings, identity: str) -> None:
        self._settings, self._identity = settings, identity

    def __call__(self, jobs: Sequence[Job], progress: Progress) -> Generator[list[Result]]:
        """Yield the results of each group of pictures, once they are written."""
        threads, before = cores_beside() + 1, torch.get_num_threads()
        tiles, places = _Tiles(progress), NetworkPlaces(self._settings.translator, self._settings.tile)
        # torch's number of threads is one for each thread of the pool: together they use all cores.
        pool = ThreadPoolExecutor(
            threads, "ganvas", initializer=torch.set_num_threads, initargs=(cores_for_networks(),)
        )
        pending = deque[tuple[Future[list[Result]], int]]()
        try:
            # The network is prepacked for the first picture; the others wait for that.
            yield pool.submit(self._process, jobs[:1], places, tiles).result()
            # Read ahead by a group for each thread and one more, or by fewer where pictures are large.
            for group, pixels in _groups(jobs[1:]):
                pending.append((pool.submit(self._process, group, places, tiles), pixels))
                while len(pending) > threads + 1 or (
                    len(pending) > 1 and sum(size for _, size in pending) > PIXELS_AHEAD
                ):
                    yield pending.popleft()[0].result()
            while pending:
                yield pending.popleft()[0].result()
        finally:
            tiles.cancel()  # threads stop at their next tile where the caller has stopped early
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)

    def _process(self, jobs: Sequence[Job], places: NetworkPlaces, tiles: Progress) -> list[Result]:
        """Read, translate and write one group in this thread."""
        settings, items = self._settings, [_Item(job) for job in jobs]
        for item in items:
            with item.failing_alone():
                self._read(item)
        # Pictures of earlier calls and unreadable ones take no part in what follows.
        opened = [(item, item.picture) for item in items if item.picture is not None]
        outcomes = settings.translator.translate_many(
            [(item.job.name, picture) for item, picture in opened],
            tile=settings.tile,
            overlap=settings.overlap,
            places=places,
            progress=tiles,
        )
        for (item, picture), outcome in zip(opened, outcomes, strict=True):
            with item.failing_alone():
                self._write(item, picture, outcome)
            item.picture = None
        return [item.result(self._identity) for item in items]

    def _read(self, item: _Item) -> None:
        """Hash and read a picture, unless an earlier call translated it with these settings."""
        job, masks = item.job, self._settings.masks
        assert job.target is not None
        item.input = hash_files(job.source, *([] if masks is None else [find_mask(masks, job.source)]))
        start = self._identity + item.input
        if job.proof is not None and job.proof.startswith(start) and job.target.is_file():
            item.is_done = job.proof == start + hash_files(job.target)
        if not item.is_done:
            _check_free(job, job.target)
            item.picture = read_image(job.source)

    def _write(self, item: _Item, picture: Picture, outcome: Translation | Exception) -> None:
        if isinstance(outcome, Exception):
            raise outcome
        assert item.job.target is not None
        write_result(item.job.source, item.job.target, self._settings, picture, outcome)
        item.notes = outcome.all_notes
        item.output = hash_files(item.job.target)


def write_result(source: Path, target: Path, settings: Settings, picture: Picture, translation: Translation) -> None:
    """Write a translation; with masks, only the masked part of it, inside the original picture.

    Raises:
        ImageError: there is no fitting mask, or the format cannot hold the result.
        PolicyRefusal: the content gate refused the composite.
    """
    admitted = translation.admitted
    if settings.masks is not None:
        mask = read_mask(find_mask(settings.masks, source), picture)
        admitted = admit(composite(picture, admitted.picture, mask), name=admitted.name)
    write_synthetic(target, admitted, settings.label)


class NetworkPlaces:
    """Places in the network: on a CPU two small pictures at once, each on half of the cores.

    A large or tiled picture runs alone, and so does each one whose method draws noise: threads share torch's generator.
    """

    def __init__(self, translator: Translator, tile: int | None) -> None:
        self._places = max(1, torch.get_num_threads() // cores_for_networks())
        self._free, self._entering = Semaphore(self._places), Lock()
        self._one_by_one = translator.device.type != "cpu" or translator.method.draws_noise
        self._largest, self._tile = SMALL_PIXELS // translator.method.scale**2, tile

    @contextmanager
    def __call__(self, picture: Picture) -> Iterator[None]:
        """Wait for a place, or for all places where the picture must be alone, and hold them."""
        in_tiles = self._tile is not None and max(picture.height, picture.width) > self._tile
        alone = self._one_by_one or in_tiles or picture.height * picture.width > self._largest
        places = self._places if alone else 1
        with self._entering:  # one after the other, or two could each hold half of what both want
            for _ in range(places):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(places)


class _Tiles(Progress):
    """Progress of the tiles of a large picture, cancelled with the command's or when its generator is closed."""

    def __init__(self, command: Progress) -> None:
        super().__init__()
        self._command = command

    def __call__(self, task: str, done: int, total: int) -> None:
        self._command(task, done, total)

    def check(self) -> None:
        super().check()
        self._command.check()


def _check_free(job: Job, target: Path) -> None:
    """Raise ImageError unless `target` is free or a translation of the same picture, by the manifest or by its label.

    A process that was killed may have written a translation and not its row.
    """
    if target.exists() and not job.known and not _is_labeled(target):
        raise ImageError(target, "is there already and is no translation; move it away, or give another folder")


def _is_labeled(path: Path) -> bool:
    try:
        return read_label(path) == SOURCE_TYPE
    except ImageError:
        return False


def _groups(jobs: Sequence[Job]) -> Iterator[tuple[list[Job], int]]:
    """Yield groups of consecutive pictures, and their number of pixels by their headers."""
    group, pixels = list[Job](), 0
    for job in jobs:
        size = _num_pixels(job)
        if group and (len(group) == GROUP or pixels + size > GROUP_PIXELS):
            yield group, pixels
            group, pixels = [], 0
        group, pixels = [*group, job], pixels + size
    if group:
        yield group, pixels


def _num_pixels(job: Job) -> int:
    """Return the number of pixels by the header; 0 where the file cannot be read, which is reported later."""
    with suppress(ImageError):
        height, width = read_size(job.source)
        return height * width
    return 0


def lost(settings: str, job: Job, reason: str) -> Record:
    """Return the manifest line of a picture whose worker died."""
    row = ManifestRow(name=job.name, input="", settings=settings, output=None, problem=reason)
    record: Record = to_record(row)
    return record
