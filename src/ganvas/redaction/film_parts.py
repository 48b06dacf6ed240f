"""Division of a film's redaction for the workers of a cluster: segments of its passes, pass by pass."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.bulk.journal import Record
from ganvas.bulk.runner import PROBLEM, Job, Result
from ganvas.errors import FILE_ERRORS, InputError, problem_of
from ganvas.image.picture import Picture
from ganvas.localization.detectors import Detector
from ganvas.progress import SILENT
from ganvas.redaction.film import plan_film, write_options
from ganvas.redaction.film_passes import DETECTIONS, VERIFICATION, FilmPasses, FilmSettings
from ganvas.serialization import from_record, to_record
from ganvas.video import Segment, check_writable, probe

__all__ = ["do_film_part", "film_parts"]

Region = Callable[[Picture], NDArray[np.bool_] | None]
WORK, PASS, SEGMENT = "work", "pass", "segment"
"""Keys of a part: the working folder of its film, the name of the pass, and the segment."""
RENDER = "render"


def film_parts(
    source: Path, out: Path, work: Path, settings: FilmSettings, *, detectors: Sequence[Detector]
) -> Generator[Sequence[Record], Sequence[Result], None]:
    """Yield the parts of each pass over a film, and collect their results for `redact_film`.

    Args:
        source: the film.
        out: the output file.
        work: the working folder, which this process has locked.
        settings: see `FilmSettings`.
        detectors: detectors of the workers.

    Raises:
        InputError: a segment failed; the message is that of the first one.
        OSError: a system error; finished segments are kept.
    """
    info = probe(source)
    film = FilmPasses(info, work, settings, SILENT)
    check_writable(out, like=info, options=write_options(settings, film))
    if detectors and settings.detections is None:
        _raise_first((yield _parts(work, DETECTIONS, film.waiting(DETECTIONS))))
        film.collect(DETECTIONS)
    else:
        film.detect(())  # once, here: every part needs the times of all frames
    if detectors and settings.verify:
        _raise_first((yield _parts(work, VERIFICATION, film.waiting(VERIFICATION))))
        film.collect(VERIFICATION)
    waiting = [segment for segment in film.segments() if not film.is_rendered(segment)]
    _raise_first((yield _parts(work, RENDER, waiting)))


def _parts(work: Path, name: str, segments: Sequence[Segment]) -> list[Record]:
    return [{WORK: str(work), PASS: name, SEGMENT: to_record(segment)} for segment in segments]


def do_film_part(
    job: Job, part: Record, settings: FilmSettings, *, detectors: Sequence[Detector], region: Region
) -> Result:
    """Process one segment of a pass in the working folder of its film; the line of the result records errors."""
    assert job.target is not None
    try:
        info, segment = probe(job.source), from_record(Segment, part[SEGMENT])
        film = FilmPasses(info, Path(part[WORK]), settings, SILENT)
        if part[PASS] == DETECTIONS:
            film.detect_segment(segment, detectors)
            return Result(line={})
        planned = plan_film(info, film, settings, detectors, region)
        if part[PASS] == VERIFICATION:
            film.verify_segment(segment, planned.plan, planned.mask, detectors)
        else:
            wanted = planned.wanted(film.verify(planned.plan, planned.mask, detectors))
            options = write_options(settings, film)
            film.render_segment(segment, planned.plan, planned.mask, job.target, options, wanted)
    except FILE_ERRORS as error:
        return Result(line={PROBLEM: problem_of(error), "system": isinstance(error, OSError)})
    return Result(line={})


def _raise_first(results: Sequence[Result]) -> None:
    for result in results:
        if result.line and PROBLEM in result.line:
            raise (OSError if result.line.get("system") else InputError)(result.line[PROBLEM])
