"""Redaction of a picture or a folder: every result is fit to be released, or is not written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ganvas.bulk.ray_backend import Engine, Record, Work, check_workers, spread
from ganvas.errors import FILE_ERRORS, ConfigError, InputError, problem_of
from ganvas.filesystem import claimed, files_in, lies_in, require_apart, require_outside, swept_beside
from ganvas.image.cover import Cover
from ganvas.image.files import IMAGE_SUFFIXES, encode_image, read_image, warn_of_notes, warn_of_repeated, write_image
from ganvas.image.folders import list_folder
from ganvas.image.label import with_sidecar
from ganvas.image.picture import Picture
from ganvas.inference.manifest import hash_files, hash_settings, names_file
from ganvas.localization import load_classifier
from ganvas.redaction.redact import CosmeticWarning, Redaction, cosmetic, redact_picture
from ganvas.redaction.redaction_log import (
    KEYED_ORIGINAL,
    LOG,
    ORIGINAL,
    Outcome,
    Redacted,
    RedactionLog,
    clear_hidden,
    hash_file,
    keyed_hash,
    line_of,
    original_key,
    relative_names,
)
from ganvas.redaction.user_regions import UserRegions, read_user_regions
from ganvas.redaction.verifier import Verifier

__all__ = ["Redacted", "find_sources", "redact_files"]

Blocks = Generator[list[tuple[int, Record]]]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class _Settings:
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
class _Redactor:
    """Callable from jobs to log lines; writes the pictures."""

    settings: _Settings
    verifier: Verifier | None
    identity: str

    @classmethod
    def start(cls, settings: _Settings) -> _Redactor:
        """Load the classifier."""
        return cls(settings=settings, verifier=settings.verifier(), identity=settings.identity())

    def __call__(self, jobs: Sequence[Record]) -> Iterator[Record]:
        return (_redact_file(job, self) for job in jobs)


def redact_files(
    source: Path,
    out: Path,
    *,
    classifier: str | None = None,
    class_name: str | None = None,
    boxes: Path | None = None,
    mask: Path | None = None,
    how: Cover | None = None,
    pass_score: float | None = None,
    coverage: float | None = None,
    log: Path | None = None,
    engine: Engine = "local",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Redacted:
    """Cover each picture and write it with the same name: pixels only, no metadata, thumbnail or trailing bytes.

    Every file of a folder comes out covered or is named as failed, also one that is no picture. A failed file is never
    written. A picture is left alone when the log has it with these settings, and neither it nor its result has changed.

    Args:
        source: a picture, or a folder; folders in it are included, hidden files are not.
        out: a folder, or for one picture also a file name. Not the source itself.
        classifier: nsfw, imagenet or the path of an .onnx file; finds regions, and verifies the result.
        class_name: what to cover; nsfw needs none.
        boxes: a file of boxes; without a classifier it must name every picture, if with an empty list.
        mask: a mask for all, or a folder of masks.
        how: the style; solid black where not given.
        pass_score: largest score that counts as gone; 0.2 where not given.
        coverage: see `Verifier`; 0.9 where not given.
        log: the folder of the redaction log; where not given the results' own, and keyed hashes stand for originals.
        engine: local, or ray for the workers of a cluster (docs/scale.md).
        workers: of ray; None for one a core.
        progress: called for each file.

    Raises:
        InputError: settings that do not fit; nothing is written.
        WeightsError, MissingDependency: the classifier's weights or Ray are not installed; nothing is written.
        PartialFailure: some files failed; the others are written.
    """
    if classifier is None and boxes is None and mask is None:
        raise InputError("say what to cover: --classifier nsfw, --classifier imagenet --class NAME, --boxes or --mask")
    check_workers(engine, workers)
    released = out if source.is_dir() or not names_file(out) else out.parent
    path = (log or released) / LOG
    files = _find(source, out, path, boxes=boxes, mask=mask, classifier=classifier)  # no output replaces an input
    region = read_user_regions({name for name, (_, target) in files.items() if target}, boxes=boxes, mask=mask)
    settings = _Settings(
        classifier=classifier, class_name=class_name, pass_score=pass_score, coverage=coverage, region=region,
        how=how or Cover(), key=original_key() if _is_in(path, released) else None,
        folders=_folders(source, released, boxes, mask),
    )  # fmt: skip
    redactor = _start(settings)  # a missing or unsuitable classifier raises before anything is written
    named, folders = released != out, {target.parent for _, target in files.values() if target}
    with _held(released, path.parent, folders, alone=not named):  # one process at a time continues a log
        log_file = RedactionLog(path.parent)
        jobs = [_job(name, file, target, log_file) for name, (file, target) in files.items()]
        outcome = _redact_all(jobs, redactor, log_file, engine, workers, progress)
    return outcome.checked(log_file, len(jobs), tested=redactor.verifier.class_name if redactor.verifier else None)


@contextmanager
def _held(released: Path, log: Path, folders: set[Path], *, alone: bool) -> Iterator[None]:
    """Hold the folder of the results, and that of the log, which is continued too."""
    with ExitStack() as held:
        held.enter_context(claimed(released, beside=folders) if alone else swept_beside(released))
        if log.resolve() != released.resolve():
            held.enter_context(claimed(log) if alone else swept_beside(log))
        yield


def _start(settings: _Settings) -> _Redactor:
    """Load the classifier, and warn once of a cover that hides little."""
    if problem := cosmetic(settings.how):
        warnings.warn(problem, CosmeticWarning, stacklevel=3)
    return _Redactor.start(settings)


def _find(
    source: Path, out: Path, log: Path, *, boxes: Path | None, mask: Path | None, classifier: str | None
) -> dict[str, tuple[Path, Path | None]]:
    """Return what `find_sources` does; raise InputError where a result or the log would replace a file that is read."""
    own = log.parent.resolve() / log.name  # what a link of that name leads to is a source like others
    files = find_sources(source, out, {own, *(path.resolve() for path in (boxes, mask) if path is not None)})
    targets = [path for _, target in files.values() if target for path in with_sidecar(target)]
    models = [Path(classifier)] if classifier else []
    require_apart([*targets, log], chain((path for path, _ in files.values()), files_in(boxes), files_in(mask), models))
    return files


def _is_in(path: Path, folder: Path) -> bool:
    return lies_in(path, folder)


def _folders(source: Path, released: Path, boxes: Path | None, mask: Path | None) -> tuple[Path, ...]:
    given = [path if path.is_dir() else path.parent for path in (source, boxes, mask) if path is not None]
    return (*given, released)


def _redact_all(
    jobs: Sequence[Record],
    redactor: _Redactor,
    log_file: RedactionLog,
    engine: Engine,
    workers: int | None,
    progress: Progress | None,
) -> Outcome:
    work = Work(start=partial(_Redactor.start, redactor.settings), lost=_lost, workers=workers)
    with closing(spread(jobs, work) if engine == "ray" else _one_by_one(jobs, redactor)) as blocks:
        return _record_all(blocks, log_file, len(jobs), progress)


def _one_by_one(jobs: Sequence[Record], redactor: _Redactor) -> Blocks:
    for number, job in enumerate(jobs):
        yield [(number, row) for row in redactor([job])]


def _record_all(blocks: Blocks, log_file: RedactionLog, total: int, progress: Progress | None) -> Outcome:
    """Log all rows as they arrive, and return their summary."""
    outcome, done = Outcome(), 0
    for block in blocks:
        rows = [row for _, row in block]
        if new := [row for row in rows if "skipped" not in row]:
            log_file.add(new)
        for row in rows:
            outcome.count(row)
            done += 1
            if progress:
                progress("redacting", done, total)
    return outcome


def _job(name: str, path: Path, target: Path | None, log_file: RedactionLog) -> Record:
    """Return what a worker needs; `replaces`: the log knows the target as an earlier result."""
    proof, known = log_file.proof(name), log_file.knows(name)
    return {"name": name, "source": str(path), "target": target and str(target), "proof": proof, "replaces": known}


def _line(name: str) -> Record:
    return {"file": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}


def _lost(job: Record, reason: str) -> Record:
    """Return the log line of a file whose worker died; a result may have been written, but is not verified."""
    return {**_line(job["name"]), "failed": reason + _stale(job["target"])}


def _stale(target: Path | str | None) -> str:
    there = target is not None and Path(target).exists()
    return f"; an older {Path(target).name} is still there" if target is not None and there else ""


def _redact_file(job: Record, redactor: _Redactor) -> Record:
    """Redact one file; its line for the log, with "failed" where it could not be, "skipped" where it is done."""
    name, path, target = job["name"], Path(job["source"]), job["target"] and Path(job["target"])
    line = _line(name)
    try:
        if target is None:
            raise InputError("not a picture that can be redacted; leave it out, or save it as PNG, JPEG, WebP or TIFF")
        key, original = redactor.settings.original(path)
        line[key] = original
        line["settings"] = hash_settings([redactor.identity, redactor.settings.region.identity(name)])
        if job["proof"] == [line["settings"], original, target.is_file() and hash_file(target)]:
            return {"file": name, "skipped": True}
        redaction = _redact(name, path, redactor)
        released, cleared = clear_hidden(redaction.picture)
        if not job["replaces"]:
            _check_free(target, released)
        write_image(target, released)
        line["sha256_out"] = hash_file(target)
    except FILE_ERRORS as error:
        problem = relative_names(problem_of(error), redactor.settings.folders)
        return {**line, "failed": f"{problem}{_stale(target)}"}
    return {**line, **_record(redaction, redactor), "cleared": cleared}


def _check_free(target: Path, released: Picture) -> None:
    """Raise where a file exists that the log does not know, unless it is this result of a killed process."""
    if target.exists() and target.read_bytes() != encode_image(released, target.suffix):
        raise InputError(
            f"{target} is there already, and not by this log; move it away, or give another name or folder"
        )


def _redact(name: str, path: Path, redactor: _Redactor) -> Redaction:
    picture = read_image(path)
    warn_of_notes(picture)
    region = redactor.settings.region.find(picture, name)
    if region is None and redactor.verifier is None:
        raise InputError("nothing says what to cover in it; give it a mask or boxes ([] for none), or a classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosmeticWarning)  # already raised once for all pictures
        return redact_picture(picture, region=region, verifier=redactor.verifier, how=redactor.settings.how)


def _record(redaction: Redaction, redactor: _Redactor) -> dict[str, Any]:
    is_cosmetic = cosmetic(redactor.settings.how) is not None
    return line_of(redaction, redactor.verifier, classifier=redactor.settings.classifier, is_cosmetic=is_cosmetic)


def find_sources(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    """Return name -> (file, its target or None for no picture) for every file that the user expects to be redacted.

    Args:
        source: a picture, or a folder.
        out: a folder, or for one picture also a file name.
        aside: files in the folder that are no sources, resolved.

    Raises:
        InputError: there is none, an original would be written over, or `out` has an ending that is no format.
    """
    if source.is_dir():
        return _of_folder(source, out, aside)
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder")
    target = out if names_file(out) else out / source.name
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original; give another name")
    return {source.name: (source, _target(source, target))}


def _of_folder(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    require_outside(out, source)
    root = source.resolve()
    aside = {path for path in {*aside, out.resolve()} if not root.is_relative_to(path)}
    listing = list_folder(source)
    warn_of_repeated(source, listing)
    inside = [path.relative_to(source) for path in listing.files if _counts(path, aside)]
    if not inside:
        raise InputError(f"{source}: no files in it")
    return {path.as_posix(): (source / path, _target(path, out / path)) for path in inside}


def _counts(path: Path, aside: set[Path]) -> bool:
    real = Path(os.path.realpath(path))  # of a link to itself, the link
    return not any(real.is_relative_to(other) for other in aside)


def _target(path: Path, target: Path) -> Path | None:
    return target if path.suffix.lower() in IMAGE_SUFFIXES else None
