"""Worker of a redaction: covers one file after the other, and returns their lines for the redaction log."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.bulk.journal import Record, hash_file, hash_files, hash_settings
from ganvas.bulk.runner import Result
from ganvas.bulk.sources import Job
from ganvas.errors import FILE_ERRORS, ConfigError, InputError, problem_of
from ganvas.image.cover import Cover
from ganvas.image.files import encode_image, read_image, warn_of_notes, write_image
from ganvas.image.picture import Picture
from ganvas.localization import load_classifier
from ganvas.progress import Progress
from ganvas.redaction.redact import CosmeticWarning, Redaction, cosmetic, redact_picture
from ganvas.redaction.redaction_log import (
    KEYED_ORIGINAL,
    ORIGINAL,
    clear_hidden,
    keyed_hash,
    line_of,
    relative_names,
)
from ganvas.redaction.user_regions import UserRegions
from ganvas.redaction.verifier import Verifier

__all__ = ["RedactionSettings", "Redactor", "lost"]


@dataclass(frozen=True, kw_only=True)
class RedactionSettings:
    """Settings shared by all pictures of a run; can be pickled."""

    classifier: str | None
    class_name: str | None
    pass_score: float | None
    coverage: float | None
    region: UserRegions
    how: Cover
    key: bytes | None
    """Key of the hashes that identify originals in a released log; None for plain hashes in a private log."""
    folders: tuple[Path, ...]
    """Folders that the log removes from names."""

    def verifier(self) -> Verifier | None:
        """Load the classifier; its errors name it."""
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
        return hash_settings([version("ganvas"), name, weights, *verified, self.how])

    def original(self, path: Path) -> tuple[str, str]:
        """Return key and value of the log line that identify the original."""
        return (ORIGINAL, hash_file(path)) if self.key is None else (KEYED_ORIGINAL, keyed_hash(path, self.key))


@dataclass(frozen=True, kw_only=True)
class Redactor:
    """Worker of the bulk runner: writes the redacted pictures and yields their log lines."""

    settings: RedactionSettings
    verifier: Verifier | None
    identity: str

    @classmethod
    def start(cls, settings: RedactionSettings) -> Redactor:
        """Load the classifier."""
        return cls(settings=settings, verifier=settings.verifier(), identity=settings.identity())

    @property
    def tested(self) -> str | None:
        """The class whose absence a classifier confirms; None where nothing is tested."""
        return self.verifier.class_name if self.verifier else None

    def __call__(self, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Result]]:
        """Redact one file after the other; see `ganvas.bulk.runner.Worker`."""
        for job in jobs:
            progress.check()
            yield [Result(line=_redact_file(job, self))]


def _line(name: str) -> Record:
    return {"file": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}


def lost(job: Job, reason: str) -> Record:
    """Return the log line of a file whose worker died; a result may have been written, but is not verified."""
    return {**_line(job.name), "failed": reason + _stale(job.target)}


def _stale(target: Path | None) -> str:
    return f"; an older {target.name} is still there" if target is not None and target.exists() else ""


def _redact_file(job: Job, redactor: Redactor) -> Record | None:
    """Redact one file; return its line for the log, with "failed" where it could not be, or None where it is done."""
    line, settings = _line(job.name), redactor.settings
    try:
        if job.target is None:
            raise InputError("not a picture that can be redacted; leave it out, or save it as PNG, JPEG, WebP or TIFF")
        key, original = settings.original(job.source)
        line[key] = original
        line["settings"] = hash_settings([redactor.identity, settings.region.identity(job.name)])
        if job.target.is_file() and job.proof == line["settings"] + original + hash_file(job.target):
            return None
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
    """Raise where a file exists that the log does not know, unless it is this result of a killed process."""
    if target.exists() and target.read_bytes() != encode_image(released, target.suffix):
        raise InputError(
            f"{target} is there already, and not by this log; move it away, or give another name or folder"
        )


def _redact(name: str, path: Path, redactor: Redactor) -> Redaction:
    picture = read_image(path)
    warn_of_notes(picture)
    region = redactor.settings.region.find(picture, name)
    if region is None and redactor.verifier is None:
        raise InputError("nothing says what to cover in it; give it a mask or boxes ([] for none), or a classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosmeticWarning)  # already raised once for all pictures
        return redact_picture(picture, region=region, verifier=redactor.verifier, how=redactor.settings.how)


def _record(redaction: Redaction, redactor: Redactor) -> dict[str, Any]:
    is_cosmetic = cosmetic(redactor.settings.how) is not None
    return line_of(redaction, redactor.verifier, classifier=redactor.settings.classifier, is_cosmetic=is_cosmetic)
