"""Worker of the bulk runner for pictures and films, and division of films among the workers of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

from ganvas.bulk.journal import Record, hash_files, hash_settings
from ganvas.bulk.runner import PROBLEM, Division, Job, Result
from ganvas.errors import FILE_ERRORS, InputError, PolicyRefusal, problem_of
from ganvas.inference.config import FilmOptions
from ganvas.inference.film import film_part, names_film, opened_film, translate_film
from ganvas.inference.pipeline import Item, PictureWorker, Settings
from ganvas.progress import SILENT, Progress
from ganvas.serialization import from_record, to_record
from ganvas.video import Segment, read_film_label

__all__ = ["FileWorker"]

WORK, SEGMENT = "work", "segment"
"""Keys of a part: the working folder of its film, and the segment."""


class FileWorker:
    """Worker of the bulk runner: translates pictures in threads, and films one by one with their frames in threads.

    Args:
        settings: settings that determine a result.
        identity: SHA-256 of the settings and of the run's files, for the manifest.
        options: settings of films.
    """

    def __init__(self, settings: Settings, identity: str, options: FilmOptions) -> None:
        self._pictures = PictureWorker(settings, identity)
        self._settings, self._options = settings, options
        self._identity = hash_settings([identity, options])

    def __call__(self, jobs: Sequence[Job], progress: Progress) -> Generator[list[Result]]:
        """Yield the results of each group of pictures and of each film, once they are written."""
        for are_films, group in groupby(jobs, key=lambda job: names_film(job.source)):
            work = self._films if are_films else self._pictures
            with closing(work([*group], progress)) as results:
                yield from results

    def _films(self, jobs: Sequence[Job], progress: Progress) -> Generator[list[Result]]:
        for job in jobs:
            progress.check()
            yield [self._film(job, progress) if job.part is None else self._segment(job, job.part, progress)]

    def _film(self, job: Job, progress: Progress) -> Result:
        assert job.target is not None
        item = Item(job)
        with item.failing_alone():
            if item.is_new(self._identity, [job.source], read_film_label):
                item.notes = translate_film(job, self._settings, self._options, self._identity, progress=progress)
                item.output = hash_files(job.target)
        return item.result(self._identity)

    def _segment(self, job: Job, part: Record, progress: Progress) -> Result:
        """Translate one segment into the working folder of its film; errors are recorded in the line of its result."""
        try:
            film = film_part(job, self._settings, self._options, Path(part[WORK]), progress=progress)
            film.translate_segment(from_record(Segment, part[SEGMENT]))
        except PolicyRefusal as refusal:
            return Result(line=None, refusal=refusal.as_arguments())
        except FILE_ERRORS as error:
            return Result(line={PROBLEM: problem_of(error), "system": isinstance(error, OSError)})
        return Result(line={})

    def divide(self, job: Job) -> Division | None:
        """Return the division of a film into its segments, see `ganvas.bulk.runner.Task`; None for a picture."""
        return self._division(job) if names_film(job.source) else None

    def _division(self, job: Job) -> Division:
        assert job.target is not None
        item = Item(job)
        with item.failing_alone():
            if item.is_new(self._identity, [job.source], read_film_label):
                with opened_film(job, self._settings, self._options, self._identity, progress=SILENT) as film:
                    segments = film.segments()
                    waiting = [segment for segment in segments if film.finished(segment) is None]
                    _raise_first((yield [{WORK: str(film.work), SEGMENT: to_record(one)} for one in waiting]))
                    item.notes = film.join(segments)
                item.output = hash_files(job.target)
        return item.result(self._identity)


def _raise_first(results: Sequence[Result]) -> None:
    """Raise the error of the first failed segment, which a translation of the whole film would raise too.

    Raises:
        PolicyRefusal: the gate refused a frame or its translation.
        InputError: a segment failed for another reason.
        OSError: a system error; finished segments are kept.
    """
    for result in results:
        if result.refusal is not None:
            raise PolicyRefusal(**result.refusal)
        if result.line and PROBLEM in result.line:
            raise (OSError if result.line.get("system") else InputError)(result.line[PROBLEM])
