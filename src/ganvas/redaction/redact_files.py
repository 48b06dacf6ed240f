"""Redact a picture or a folder: what comes out is fit to be released, or it does not come out."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.engines import Engine, Record, Work, check_workers, spread
from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, problem_of
from ganvas.image.cover import Cover
from ganvas.image.files import open_regular, read_image, write_image
from ganvas.inference.manifest import hash_files, hash_settings
from ganvas.inference.target import names_file
from ganvas.localization import load_classifier
from ganvas.redaction.audit import AuditLog
from ganvas.redaction.given import GivenRegion, given_region
from ganvas.redaction.judge import Judge
from ganvas.redaction.redact import CosmeticWarning, Redaction, cosmetic, redact_picture
from ganvas.redaction.sources import find_sources

__all__ = ["Redacted", "redact_files"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """What a redaction left.

    Attributes:
        audit: the audit log; later runs append to it.
        redacted: how many pictures were redacted now.
        skipped: how many an earlier run with the same settings, picture and result had redacted.
        uncovered: in how many of those redacted now there was nothing to cover.
    """

    audit: AuditLog
    redacted: int
    skipped: int
    uncovered: int

    @property
    def log(self) -> Path:
        """The file of the audit log, a JSON line a picture."""
        return self.audit.path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Those of this run, read from the log."""
        return list(self.audit.added())

    def __str__(self) -> str:
        earlier = f", {self.skipped} were there already" if self.skipped else ""
        bare = f"; nothing was covered in {self.uncovered}" if self.uncovered else ""
        return f"{self.redacted} redacted{earlier}{bare}; audit log: {self.log}"


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What is the same for every picture of a run; can be sent to another process."""

    classifier: str | None
    class_name: str | None
    pass_score: float | None
    region: GivenRegion
    how: Cover

    def judge(self) -> Judge | None:
        """Loads the classifier."""
        if self.classifier is None:
            return None
        return Judge.of(load_classifier(self.classifier), self.class_name, pass_score=self.pass_score)

    def identity(self) -> str:
        """SHA-256 of all that decides a result, but the picture and its region."""
        beside = [] if self.classifier is None else [Path(self.classifier), Path(self.classifier).with_suffix(".json")]
        weights = hash_files(*(path for path in beside if path.is_file()))
        return hash_settings([version("ganvas"), self.classifier, weights, self.class_name, self.pass_score, self.how])


@dataclass(frozen=True, kw_only=True)
class _Redactor:
    """Jobs -> lines of the log; writes the pictures."""

    settings: _Settings
    judge: Judge | None
    identity: str

    @classmethod
    def start(cls, settings: _Settings) -> _Redactor:
        """One that has loaded the classifier."""
        return cls(settings=settings, judge=settings.judge(), identity=settings.identity())

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
    engine: Engine = "local",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Redacted:
    """Cover each picture and write it with the same name: pixels only, no metadata, thumbnail or trailing bytes.

    Boxes and masks are in pixels of the upright picture. Every file of a folder must come out covered or be named as
    failed, also one that is no picture. A failed file is never written. A picture is left alone when the audit log has
    it with these very settings, and neither it nor its result has changed since.

    Args:
        source: a picture, or a folder; folders in it are included, hidden files are not.
        out: a folder, or for one picture also a file name. Not the source itself.
        classifier: nsfw, imagenet or the path of an .onnx file; finds regions, and judges the result.
        class_name: what to cover; nsfw needs none.
        boxes: a file of boxes; without a classifier it must name every picture, if with an empty list.
        mask: a mask for all, or a folder of masks.
        how: the style; solid black where not given.
        pass_score: largest score that counts as gone; 0.2 where not given.
        engine: local, or ray for the workers of a cluster (docs/scale.md).
        workers: of ray; None for one a core.
        progress: told of each file.

    Raises:
        InputError: settings that do not fit; nothing is written.
        WeightsError: the classifier's weights are missing; nothing is written.
        MissingDependency: Ray is asked for and not installed.
        PartialFailure: some files failed; the others are written.
    """
    if classifier is None and boxes is None and mask is None:
        raise InputError("say what to cover: --classifier nsfw, --classifier imagenet --class NAME, --boxes or --mask")
    check_workers(engine, workers)
    files = find_sources(source, out, {path.resolve() for path in (boxes, mask) if path is not None})
    region = given_region({name for name, (_, target) in files.items() if target}, boxes=boxes, mask=mask)
    settings = _Settings(
        classifier=classifier, class_name=class_name, pass_score=pass_score, region=region, how=how or Cover()
    )
    redactor = _Redactor.start(settings)
    if problem := cosmetic(settings.how):
        warnings.warn(problem, CosmeticWarning, stacklevel=2)
    audit = AuditLog(out if source.is_dir() or not names_file(out) else out.parent)
    jobs = [_job(name, path, target, audit) for name, (path, target) in files.items()]
    work = Work(start=partial(_Redactor.start, settings), lost=_lost, workers=workers)
    with closing(spread(jobs, work) if engine == "ray" else _one_by_one(jobs, redactor)) as blocks:
        outcome = _record_all(blocks, audit, len(jobs), progress)
    if outcome.failures:
        raise PartialFailure(outcome.failures, len(jobs))
    return Redacted(audit=audit, redacted=outcome.redacted, skipped=outcome.skipped, uncovered=outcome.uncovered)


@dataclass
class _Outcome:
    """What has become of the files so far."""

    redacted: int = 0
    skipped: int = 0
    uncovered: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def count(self, row: Record) -> None:
        self.skipped += "skipped" in row
        self.redacted += "sha256_out" in row
        self.uncovered += "region" in row and not row["region"]["boxes"]
        if "failed" in row:
            self.failures[row["file"]] = row["failed"]


Blocks = Generator[list[tuple[int, Record]]]


def _one_by_one(jobs: Sequence[Record], redactor: _Redactor) -> Blocks:
    for number, job in enumerate(jobs):
        yield [(number, row) for row in redactor([job])]


def _record_all(blocks: Blocks, audit: AuditLog, total: int, progress: Progress | None) -> _Outcome:
    """Log all rows as they come; what they amount to."""
    outcome, done = _Outcome(), 0
    for block in blocks:
        rows = [row for _, row in block]
        if new := [row for row in rows if "skipped" not in row]:
            audit.add(new)
        for row in rows:
            outcome.count(row)
            done += 1
            if progress:
                progress("redacting", done, total)
    return outcome


def _job(name: str, path: Path, target: Path | None, audit: AuditLog) -> Record:
    return {"name": name, "source": str(path), "target": target and str(target), "proof": audit.proof(name)}


def _line(name: str) -> Record:
    return {"file": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}


def _lost(job: Record, reason: str) -> Record:
    """The line of a file that ends its worker; a result of it may have been written, but none is vouched for."""
    return {**_line(job["name"]), "failed": reason + _stale(job["target"])}


def _stale(target: Path | str | None) -> str:
    return f"; an older {target} is still there" if target is not None and Path(target).exists() else ""


def _redact_file(job: Record, redactor: _Redactor) -> Record:
    """Redact one file; its line for the log, with "failed" where it could not be, "skipped" where it is done."""
    name, path, target = job["name"], Path(job["source"]), job["target"] and Path(job["target"])
    line = _line(name)
    try:
        if target is None:
            raise InputError("not a picture that can be redacted; leave it out, or save it as PNG, JPEG, WebP or TIFF")
        line["sha256_in"] = _hash(path)
        line["settings"] = hash_settings([redactor.identity, redactor.settings.region.identity(name)])
        if job["proof"] == [line["settings"], line["sha256_in"], target.is_file() and _hash(target)]:
            return {"file": name, "skipped": True}
        redaction = _redact(name, path, redactor)
        write_image(target, redaction.picture)
        line["sha256_out"] = _hash(target)
    except FILE_ERRORS as error:
        return {**line, "failed": f"{problem_of(error)}{_stale(target)}"}
    return {**line, **_record(redaction, redactor)}


def _hash(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _redact(name: str, path: Path, redactor: _Redactor) -> Redaction:
    picture = read_image(path)
    region = redactor.settings.region.find(picture, name)
    if region is None and redactor.judge is None:
        raise InputError("nothing says what to cover in it; give it a mask or boxes ([] for none), or a classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosmeticWarning)  # said once for all pictures
        return redact_picture(picture, region=region, judge=redactor.judge, how=redactor.settings.how)


def _record(redaction: Redaction, redactor: _Redactor) -> dict[str, Any]:
    """What the log says about a covered picture."""
    boxes = [[box.left, box.top, box.right, box.bottom] for box in redaction.boxes]
    before, after = redaction.score_before, redaction.score_after
    return {
        "region": {"boxes": boxes, "share": round(float(redaction.region.mean()), 6), "whole": redaction.whole},
        "style": redaction.style,
        "cosmetic": redaction.style != "solid" and cosmetic(redactor.settings.how) is not None,
        "widened": redaction.widened,
        "classifier": redactor.settings.classifier,
        "class": redactor.judge.class_name if redactor.judge else None,
        "score_before": before.as_record() if before else None,
        "score_after": after.as_record() if after else None,
    }
