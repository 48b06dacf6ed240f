"""Parallel translation of many pictures: each thread reads, gates, translates, gates and writes a few at a time.

Results, order of the manifest, errors and refusals are those of one picture after the other. Few pictures are held at
once, fewer the larger they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Semaphore
from typing import Generic, TypeVar

import torch

from ganvas.content_gate import admit_many
from ganvas.errors import FILE_ERRORS, ImageError, PolicyRefusal, problem_of
from ganvas.image.files import read_image, read_size
from ganvas.image.picture import Picture
from ganvas.inference.compositing import find_mask
from ganvas.inference.device import cores_beside, cores_for_networks
from ganvas.inference.jobs import Job, Settings, TranslationReport, write_result
from ganvas.inference.manifest import Manifest, ManifestRow, hash_files
from ganvas.inference.translator import notes_on, translate_admitted
from ganvas.progress import Progress, progress_bars

__all__ = ["translate_all"]

Result = TypeVar("Result")
GROUP = 4
"""Pictures that one thread takes at once: the cache of scores is opened once for them."""
GROUP_PIXELS = 2**21
"""Larger groups are parted."""
PIXELS_AHEAD = 2**25
"""Pixels in progress at once; a larger picture is processed alone."""
SMALL_PIXELS = 2**19
"""Of a result up to which another picture may be in the network at the same time."""


@dataclass
class _Item:
    """One picture in progress.

    Attributes:
        job: where from and where to.
        content: SHA-256 of the file, and of its mask where there is one.
        is_done: an earlier call wrote it.
        given: the picture, from reading to writing.
        made: its translation, until it is written.
        notes: for the user, on the result.
        output: SHA-256 of the written file.
        error: why nothing was written.
    """

    job: Job
    content: str = ""
    is_done: bool = False
    given: Picture | None = None
    made: Picture | None = None
    notes: tuple[str, ...] = ()
    output: str | None = None
    error: Exception | None = None

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Record an error of this picture; the others continue."""
        try:
            yield
        except FILE_ERRORS as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Record an error: nothing is written for this picture."""
        self.error, self.given, self.made, self.notes = error, None, None, ()


def translate_all(
    jobs: Sequence[Job], manifest: Manifest, report: TranslationReport, *, settings: Settings, progress: bool
) -> None:
    """Translate pictures; results go to the manifest and the report, with progress also for tiles of large ones."""
    with progress_bars(shown=progress) as tell, closing(_Line(settings, manifest, tell).run(jobs)) as items:
        tell("translate", 0, len(jobs))
        for done, item in enumerate(items, start=1):
            _note(item, report)
            tell("translate", done, len(jobs))


def _note(item: _Item, report: TranslationReport) -> None:
    if item.is_done:
        report.skipped.append(item.job.target)
    elif isinstance(item.error, PolicyRefusal):
        report.refused[item.job.name] = item.error
    elif item.error is not None:
        report.failures[item.job.name] = problem_of(item.error)
    else:
        report.written.append(item.job.target)
        report.notes.update(item.notes)


class _Stopped(Exception):
    """The run was cancelled."""


class _Line:
    """Concurrent groups of pictures; one thread processes each group from reading to writing."""

    def __init__(self, settings: Settings, manifest: Manifest, tell: Progress) -> None:
        self._settings, self._manifest, self._tell = settings, manifest, partial(tell, "tiles")
        self._network, self._stopping = _Network(settings), Event()

    def run(self, jobs: Sequence[Job]) -> Generator[_Item]:
        """Yield each picture, in order, once it is in the manifest."""
        threads, before = cores_beside() + 1, torch.get_num_threads()
        each = (cores_for_networks(),)
        pool = ThreadPoolExecutor(threads, "ganvas", initializer=torch.set_num_threads, initargs=each)
        under_way = _Waiting[list[_Item]](threads + 1)
        try:
            first = pool.submit(self._go_through, jobs[:1])  # the network lays its weights out for it
            yield from self._noted(first.result())
            for group, pixels in _groups(jobs[1:]):
                for done in under_way.put(pool.submit(self._go_through, group), pixels):
                    yield from self._noted(done)
            for done in under_way.rest():
                yield from self._noted(done)
        finally:
            self._stopping.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)

    def _go_through(self, jobs: Sequence[Job]) -> list[_Item]:
        items = self._read(jobs)
        for item in items:
            self._translate(item)
        return self._write(items)

    def _go_on(self, done: int = 0, total: int = 0, *, shown: bool = False) -> None:
        """Report progress between pictures and tiles, and stop the thread when the run was cancelled.

        Raises:
            _Stopped: the run was cancelled.
        """
        if self._stopping.is_set():
            raise _Stopped
        if shown:
            self._tell(done, total)

    def _read(self, jobs: Sequence[Job]) -> list[_Item]:
        """Hash, read and gate the pictures that no earlier call wrote."""
        items = [_Item(job) for job in jobs]
        for item in items:
            with item.failing_alone():
                self._open(item)
        given = [(item, item.given) for item in items if item.given]
        outcomes = admit_many([(item.job.name, picture) for item, picture in given])
        for (item, _), outcome in zip(given, outcomes, strict=True):
            if isinstance(outcome, PolicyRefusal):
                item.fail(outcome)
        return items

    def _open(self, item: _Item) -> None:
        job, masks = item.job, self._settings.masks
        item.content = hash_files(job.source, *([] if masks is None else [find_mask(masks, job.source)]))
        item.is_done = self._manifest.is_done(job.name, item.content, job.target)
        if not item.is_done:
            self._manifest.check_free(job.name, job.target)
            picture = read_image(job.source)
            item.notes = notes_on(self._settings.translator, picture)
            item.given = picture

    def _translate(self, item: _Item) -> None:
        settings = self._settings
        if item.given:
            with item.failing_alone(), self._network.room(item.given) as alone:
                self._go_on()
                item.made, note = translate_admitted(
                    settings.translator,
                    item.given,
                    tile=settings.tile,
                    overlap=settings.overlap,
                    tell=partial(self._go_on, shown=alone),
                )
                item.notes += (note,) if note else ()

    def _write(self, items: list[_Item]) -> list[_Item]:
        """Gate, write and hash the translations."""
        made = [(item, item.made) for item in items if item.made]
        outcomes = admit_many([(f"{item.job.name} (translated)", picture) for item, picture in made])
        for (item, picture), outcome in zip(made, outcomes, strict=True):
            if isinstance(outcome, PolicyRefusal):
                item.fail(outcome)
            elif item.given:
                with item.failing_alone():
                    write_result(item.job, self._settings, given=item.given, made=picture)
                    item.output = hash_files(item.job.target)
            item.given = item.made = None
        return items

    def _noted(self, items: list[_Item]) -> list[_Item]:
        """Add the pictures' rows to the manifest, and return the pictures."""
        if rows := [self._row(item) for item in items if not item.is_done]:
            self._manifest.add(*rows)
        return items

    def _row(self, item: _Item) -> ManifestRow:
        return ManifestRow(
            name=item.job.name,
            input=item.content,
            settings=self._manifest.settings,
            output=item.output,
            problem=None if item.error is None else problem_of(item.error),
            notes=item.notes,
        )


class _Network:
    """Access to the network: on a CPU two small pictures at once, each on half of the cores.

    A large or tiled picture runs alone, and so does each one whose method draws noise: threads share torch's generator.
    """

    def __init__(self, settings: Settings) -> None:
        self._places = max(1, torch.get_num_threads() // cores_for_networks())
        self._free, self._entering = Semaphore(self._places), Lock()
        self._one_by_one = settings.translator.device.type != "cpu" or settings.translator.method.draws_noise
        self._largest, self._tile = SMALL_PIXELS // settings.translator.method.scale**2, settings.tile

    @contextmanager
    def room(self, picture: Picture) -> Iterator[bool]:
        """Wait for a slot and hold it; yields whether the picture is alone."""
        in_tiles = self._tile is not None and max(picture.height, picture.width) > self._tile
        alone = self._one_by_one or in_tiles or picture.height * picture.width > self._largest
        places = self._places if alone else 1
        with self._entering:  # one after the other, or two could each hold half of what both want
            for _ in range(places):
                self._free.acquire()
        try:
            yield alone
        finally:
            self._free.release(places)


class _Waiting(Generic[Result]):
    """Bounded queue of work in progress, in order."""

    def __init__(self, most: int) -> None:
        self._most, self._under_way = most, deque[tuple[Future[Result], int]]()

    def put(self, future: Future[Result], pixels: int) -> Iterator[Result]:
        """Add work on so many pixels; yield the results that must be taken first."""
        self._under_way.append((future, pixels))
        while len(self._under_way) > self._most or (
            len(self._under_way) > 1 and sum(size for _, size in self._under_way) > PIXELS_AHEAD
        ):
            yield self._under_way.popleft()[0].result()

    def rest(self) -> Iterator[Result]:
        """Yield the remaining results."""
        while self._under_way:
            yield self._under_way.popleft()[0].result()


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
