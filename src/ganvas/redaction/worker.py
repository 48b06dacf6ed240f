"""Worker of a redaction, which redacts files and returns their lines for the redaction log."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

from ganvas.bulk.journal import Record, has_working_folder, hash_file, hash_files, hash_settings, working_folder
from ganvas.bulk.runner import Division, Job, Result
from ganvas.data.regions import UserRegions
from ganvas.errors import FILE_ERRORS, ConfigError, InputError, problem_of
from ganvas.image.cover import Cover
from ganvas.image.files import encode_image, read_image, warn_of_notes, write_image
from ganvas.image.picture import Picture
from ganvas.localization import load_classifier
from ganvas.localization.detectors import Detector
from ganvas.localization.load import load_detectors
from ganvas.progress import SILENT, Progress
from ganvas.redaction.film import redact_film
from ganvas.redaction.film_parts import do_film_part, film_parts
from ganvas.redaction.film_passes import FilmSettings
from ganvas.redaction.film_report import film_line, frames_path, write_film_report
from ganvas.redaction.redact import CosmeticWarning, Redaction, cosmetic, redact_detected, redact_picture
from ganvas.redaction.redaction_log import (
    KEYED_ORIGINAL,
    ORIGINAL,
    clear_hidden,
    keyed_hash,
    line_of,
    relative_names,
)
from ganvas.redaction.verifier import ClassDetector, Verifier
from ganvas.video import is_film

__all__ = ["RedactionSettings", "Redactor", "lost"]

VERSION = 2
"""Increased whenever the same settings cover other regions, so that results of older versions are made again."""


@dataclass(frozen=True, kw_only=True)
class RedactionSettings:
    """Picklable settings shared by all files of a run."""

    classifier: str | None
    class_name: str | None
    pass_score: float | None
    coverage: float | None
    region: UserRegions
    how: Cover
    key: bytes | None
    """Key of the hashes that identify originals in a released log; None for plain hashes in a private log."""
    folders: tuple[Path, ...]
    """Folders to remove from names in the log."""
    log: Path
    """Redaction log; reports of films are written beside it."""
    film: FilmSettings
    """Settings of films; the detection settings apply to pictures too."""
    one_thread: bool
    """Whether detectors run in one thread each, since several frames of a film are examined at once."""

    def verifier(self) -> Verifier | None:
        """Load the classifier; errors name it."""
        if self.classifier is None:
            return None
        loaded = load_classifier(self.classifier)
        try:
            return Verifier.of(loaded, self.class_name, pass_score=self.pass_score, coverage=self.coverage)
        except ConfigError as problem:
            raise ConfigError(f"{self.classifier}: {problem}") from problem

    def identity(self) -> str:
        """Return the SHA-256 of everything except the picture and its region that determines a result."""
        model_files = (
            [] if self.classifier is None else [Path(self.classifier), Path(self.classifier).with_suffix(".json")]
        )
        weights = hash_files(*(path for path in model_files if path.is_file()))
        name, verified = self.classifier, [self.class_name, self.pass_score, self.coverage]
        return hash_settings([version("ganvas"), VERSION, name, weights, *verified, self.how, *self._detection()])

    def _detection(self) -> list[object]:
        """Return the settings that determine detected regions; empty without detectors."""
        detection = self.film.detection
        if not detection.detect:
            return []
        files = [Path(name.rpartition(":")[0] or name) for name in detection.detect]
        return [detection, hash_files(*(path for path in files if path.is_file()))]

    def film_identity(self) -> str:
        """Return the SHA-256 of the additional settings that determine the result of a film."""
        given = self.film.detections
        return hash_settings([replace(self.film, detections=None), "" if given is None else hash_file(given)])

    def original(self, path: Path) -> tuple[str, str]:
        """Return key and value of the log line that identify the original."""
        return (ORIGINAL, hash_file(path)) if self.key is None else (KEYED_ORIGINAL, keyed_hash(path, self.key))


@dataclass(frozen=True, kw_only=True)
class Redactor:
    """Worker of the bulk runner: writes the redacted pictures and yields their log lines."""

    settings: RedactionSettings
    verifier: Verifier | None
    detectors: Sequence[Detector]
    identity: str

    @classmethod
    def start(cls, settings: RedactionSettings) -> Redactor:
        """Load the classifier."""
        names, longest = settings.film.detection.detect, settings.film.detection.longest
        threads = 1 if settings.one_thread else None
        detectors = load_detectors(names, threads=threads, longest=longest) if names else []
        return cls(settings=settings, verifier=settings.verifier(), detectors=detectors, identity=settings.identity())

    @property
    def tested(self) -> str | None:
        """Class whose absence a classifier confirms; None if nothing is verified."""
        return self.verifier.class_name if self.verifier else None

    def __call__(self, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Result]]:
        """Redact one file after the other; see `ganvas.bulk.runner.Worker`."""
        for job in jobs:
            progress.check()
            if job.part is None:
                yield [_finished(_redact_file(job, self, progress, in_parts=False))]
            else:
                yield [self._film_part(job, job.part)]

    def _film_part(self, job: Job, part: Record) -> Result:
        region = self.settings.region
        return do_film_part(
            job,
            part,
            self.settings.film,
            detectors=_all_detectors(self),
            region=lambda picture: region.find(picture, job.name),
        )

    def divide(self, job: Job) -> Division | None:
        """Return the division of a film, see `ganvas.bulk.runner.Task`; None for other files."""
        with suppress(*FILE_ERRORS):
            if job.target is not None and is_film(job.source):
                return _redact_file(job, self, SILENT, in_parts=True)
        return None


def _line(name: str) -> Record:
    return {"file": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}


def lost(job: Job, reason: str) -> Record:
    """Return the log line of a file whose worker died; a result may have been written, but is not verified."""
    return {**_line(job.name), "failed": reason + _stale(job.target)}


def _stale(target: Path | None) -> str:
    return f"; an older {target.name} still exists" if target is not None and target.exists() else ""


def _finished(division: Division) -> Result:
    """Return the result of a division that yields no parts."""
    try:
        next(division)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("a division in this process yields no parts")


def _redact_file(job: Job, redactor: Redactor, progress: Progress, *, in_parts: bool) -> Division:
    """Redact one file; return its line for the log, with "failed" for an error, or None if it is already redacted."""
    return Result(line=(yield from _redacted(job, redactor, progress, in_parts=in_parts)))


def _redacted(
    job: Job, redactor: Redactor, progress: Progress, *, in_parts: bool
) -> Generator[Sequence[Record], Sequence[Result], Record | None]:
    line, settings = _line(job.name), redactor.settings
    try:
        if job.target is None:
            raise InputError(
                "neither a picture nor a film that can be redacted; remove it, or save it as PNG, JPEG, WebP, TIFF or "
                "MP4"
            )
        key, original = settings.original(job.source)
        line[key] = original
        is_a_film = is_film(job.source)
        decides = [redactor.identity, settings.region.identity(job.name)]
        line["settings"] = hash_settings([*decides, settings.film_identity()] if is_a_film else decides)
        if job.target.is_file() and job.proof == line["settings"] + original + hash_file(job.target):
            return None
        if is_a_film:
            identity = f"{line['settings']} {original}"
            redacted = yield from _redact_film(job, job.target, redactor, identity, progress, in_parts=in_parts)
            return {**line, **redacted}
        redaction = _redact(job.name, job.source, redactor)
        released, cleared = clear_hidden(redaction.picture)
        if not job.known:
            _check_free(job.target, released)
        write_image(job.target, released)
        line["sha256_out"] = hash_file(job.target)
    except FILE_ERRORS as error:
        problem = relative_names(problem_of(error), settings.folders)
        return {**line, "failed": f"{problem}{_stale(job.target)}"}
    return {**line, **_record(redaction, redactor), "cleared": cleared}


def _check_free(target: Path, released: Picture) -> None:
    """Raise if a file exists that the log does not list, unless it is the same result, written by a killed process."""
    if target.exists() and target.read_bytes() != encode_image(released, target.suffix):
        raise InputError(
            f"{target} already exists, and this log does not list it; move it, or use another name or folder"
        )


def _all_detectors(redactor: Redactor) -> list[Detector]:
    return [*redactor.detectors, *([ClassDetector(redactor.verifier)] if redactor.verifier else [])]


def _redact_film(
    job: Job, target: Path, redactor: Redactor, identity: str, progress: Progress, *, in_parts: bool
) -> Generator[Sequence[Record], Sequence[Result], Record]:
    """Redact a film in its working folder, write its report, and return its log entry.

    On a cluster, workers process the passes first.
    """
    settings = redactor.settings
    released = str(PurePath(job.name).with_name(target.name))  # the report of the result has the same name
    # A process killed after the film has its name, but before its log entry, leaves its working folder or its report.
    is_resumed = target.exists() and not job.known
    if is_resumed and not (has_working_folder(target) or frames_path(settings.log, released).exists()):
        raise InputError(f"{target} already exists, and this log does not list it; move it, or use another folder")
    detectors = _all_detectors(redactor)
    with working_folder(target, identity) as work:
        if in_parts:
            yield from film_parts(job.source, target, work, settings.film, detectors=detectors)
        out = work / f"finished{target.suffix}" if is_resumed else target
        redaction = redact_film(
            job.source,
            out,
            work,
            settings.film,
            detectors=detectors,
            region=lambda picture: settings.region.find(picture, job.name),
            progress=progress,
        )
        if is_resumed and hash_file(out) != hash_file(target):
            raise InputError(f"{target} already exists, and is another film; move it, or use another folder")
        line = film_line(redaction, settings.film, tested=[detector.name for detector in detectors])
        write_film_report(released, settings.log, redaction, settings.film, line)
    return {"sha256_out": hash_file(target), **line}


def _redact(name: str, path: Path, redactor: Redactor) -> Redaction:
    picture = read_image(path)
    warn_of_notes(picture)
    region = redactor.settings.region.find(picture, name)
    verifier, detectors, how = redactor.verifier, redactor.detectors, redactor.settings.how
    if region is None and verifier is None and not detectors:
        raise InputError("no region to cover; pass a mask or boxes ([] for none), or a classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosmeticWarning)  # already raised once for all pictures
        if not detectors:
            return redact_picture(picture, region=region, verifier=verifier, how=how)
        config = redactor.settings.film.detection
        return redact_detected(picture, detectors, config, region=region, verifier=verifier, how=how)


def _record(redaction: Redaction, redactor: Redactor) -> dict[str, Any]:
    is_cosmetic = cosmetic(redactor.settings.how) is not None
    return line_of(
        redaction,
        redactor.verifier,
        classifier=redactor.settings.classifier,
        is_cosmetic=is_cosmetic,
        detect=[detector.name for detector in redactor.detectors],
    )
