"""Redaction of a file or a folder: writes only verified results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from ganvas.bulk.runner import Job, Task, find_files, names_file, run_jobs
from ganvas.data.regions import read_user_regions
from ganvas.errors import InputError
from ganvas.filesystem import claimed, files_in, lies_in, require_apart, swept_beside
from ganvas.image.cover import Cover
from ganvas.image.files import IMAGE_SUFFIXES
from ganvas.image.label import with_sidecar
from ganvas.localization.detectors import DetectionConfig
from ganvas.progress import SILENT, Progress
from ganvas.redaction.config import RedactConfig
from ganvas.redaction.detections import read_detections
from ganvas.redaction.film_passes import FilmSettings
from ganvas.redaction.redact import CosmeticWarning, cosmetic
from ganvas.redaction.redaction_log import (
    LOG,
    Outcome,
    Redacted,
    open_log,
    original_key,
)
from ganvas.redaction.tracks import TrackingConfig
from ganvas.redaction.worker import RedactionSettings, Redactor, lost
from ganvas.video import FILM_SUFFIXES, WRITTEN_SUFFIXES, WriteOptions, has_film_suffix, is_film

ANIMATED = frozenset((".gif", ".apng", ".webp", ".png"))
"""Suffixes of films and animations."""

__all__ = ["Redacted", "find_sources", "redact_files"]


def redact_files(config: RedactConfig, *, progress: Progress = SILENT) -> Redacted:
    """Redact each file into a file of the same name: pixels only, no metadata, thumbnail or trailing bytes.

    Every file of a folder is either redacted or listed as failed, even if it is not a picture. Failed files are never
    written. A picture is skipped if the log lists it with these settings, and neither it nor its result has changed.

    Args:
        config: regions and style.
        progress: receives the number of finished files, and can cancel.

    Raises:
        InputError: invalid settings; nothing is written.
        WeightsError, MissingDependency: the classifier's weights or Ray are not installed; nothing is written.
        PartialFailure: some files failed; the others are written.
    """
    source, out, boxes, mask = config.source, config.out, config.boxes, config.mask
    require_region(config)
    if config.detections is not None:
        read_detections(config.detections)  # a broken file raises before anything is written
    released = out if source.is_dir() or not names_file(out, _suffixes(source)) else out.parent
    path = (config.log or released) / LOG
    files = _find(config, path)  # no output replaces an input
    settings = RedactionSettings(
        classifier=config.classifier,
        class_name=config.class_name,
        pass_score=config.pass_score,
        coverage=config.coverage,
        region=read_user_regions({name for name, (_, target) in files.items() if target}, boxes=boxes, mask=mask),
        how=_cover(config),
        key=original_key() if lies_in(path, released) else None,
        folders=_folders(source, released, boxes, mask),
        log=path,
        film=_film_settings(config),
        one_thread=any(has_film_suffix(name) for name in files),
    )
    redactor = _start(settings)  # a missing or unsuitable classifier raises before anything is written
    start = partial(Redactor.start, settings) if config.backend == "ray" else lambda: redactor
    task = Task(name="redact", start=start, lost=lost, divide=redactor.divide)
    folders = {target.parent for _, target in files.values() if target}
    outcome = Outcome()
    with _held(released, path.parent, folders, alone=released == out):  # one process at a time continues a log
        jobs = [Job(name=name, source=file, target=target) for name, (file, target) in files.items()]
        log = open_log(path.parent)
        running = run_jobs(jobs, task, log, backend=config.backend, workers=config.workers, progress=progress)
        with closing(running) as results:
            for job, result in results:
                outcome.count(job.name, result.line)
    return outcome.checked(log, len(jobs), tested=redactor.tested)


def require_region(config: RedactConfig) -> None:
    """Raise InputError if no setting determines the regions."""
    if not any((config.classifier, config.boxes, config.mask, config.detect, config.detections)):
        raise InputError(
            "no region to cover: pass --detect faces, --classifier nsfw, --classifier imagenet --class NAME, --boxes, "
            "--mask "
            "or --detections"
        )


def _cover(config: RedactConfig) -> Cover:
    return Cover(style=config.style, blocks=config.blocks, block_size=config.block_size, sigma=config.sigma)


def _film_settings(config: RedactConfig) -> FilmSettings:
    return FilmSettings(
        detection=DetectionConfig(
            detect=config.detect,
            min_score=config.min_score,
            margin=config.margin,
            keep=config.keep,
            longest=config.longest,
        ),
        tracking=TrackingConfig(hold=config.hold),
        how=_cover(config),
        verify=1 if config.verify == "every" else config.verify,
        write=WriteOptions(codec=config.codec, crf=config.crf, sound=config.sound, subtitles=config.keep_subtitles),
        skip_damaged=config.skip_damaged,
        preview=config.preview,
        detections=config.detections,
    )


@contextmanager
def _held(released: Path, log: Path, folders: set[Path], *, alone: bool) -> Iterator[None]:
    """Lock the output folder, and the folder of the log."""
    with ExitStack() as held:
        held.enter_context(claimed(released, beside=folders) if alone else swept_beside(released))
        if log.resolve() != released.resolve():
            held.enter_context(claimed(log) if alone else swept_beside(log))
        yield


def _start(settings: RedactionSettings) -> Redactor:
    """Load the classifier, and warn once of a cosmetic cover."""
    if problem := cosmetic(settings.how):
        warnings.warn(problem, CosmeticWarning, stacklevel=3)
    return Redactor.start(settings)


def _find(config: RedactConfig, log: Path) -> dict[str, tuple[Path, Path | None]]:
    """Call `find_sources`, and raise InputError if a result or the log would replace a file that is read."""
    own = log.parent.resolve() / log.name  # the target of a link with that name is a source like others
    given = {path.resolve() for path in (config.boxes, config.mask, config.detections) if path is not None}
    files = find_sources(config.source, config.out, {own, *given})
    targets = [path for _, target in files.values() if target for path in with_sidecar(target)]
    models = [Path(config.classifier)] if config.classifier else []
    models += [config.detections] if config.detections else []
    reads = chain((path for path, _ in files.values()), files_in(config.boxes), files_in(config.mask), models)
    require_apart([*targets, log], reads)
    return files


def _folders(source: Path, released: Path, boxes: Path | None, mask: Path | None) -> tuple[Path, ...]:
    given = [path if path.is_dir() else path.parent for path in (source, boxes, mask) if path is not None]
    return (*given, released)


def find_sources(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    """Return name -> (file, target) for every file to redact; the target is None for files that are not pictures.

    Args:
        source: a picture, or a folder.
        out: a folder, or for one picture also a file name.
        aside: files in the folder that are not sources, with links resolved.

    Raises:
        InputError: no file exists, an original would be overwritten, or `out` has an unsupported suffix.
    """
    files = find_files(source, out, every=True, apart=sorted(aside))
    if source.is_dir():
        return {name: (path, _target(path, out / name)) for name, path in files.items()}
    target = out if names_file(out, _suffixes(source)) else out / source.name
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original; use another name")
    return {source.name: (source, _target(source, target))}


def _target(path: Path, target: Path) -> Path | None:
    return target if path.suffix.lower() in FILM_SUFFIXES | ANIMATED | IMAGE_SUFFIXES else None


def _suffixes(source: Path) -> frozenset[str]:
    """Return the suffixes that the result of a file may have."""
    return WRITTEN_SUFFIXES | ANIMATED if source.is_file() and is_film(source) else frozenset(IMAGE_SUFFIXES)
