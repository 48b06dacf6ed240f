"""Redact a picture or a folder: what comes out is fit to be released, or it does not come out."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, problem_of
from ganvas.image.atomic import append_line
from ganvas.image.cover import Cover
from ganvas.image.files import IMAGE_SUFFIXES, read_image, write_image
from ganvas.localization import load_classifier
from ganvas.redaction.given import GivenRegion, given_region
from ganvas.redaction.judge import Judge
from ganvas.redaction.redact import CosmeticWarning, Redaction, cosmetic, redact_picture

__all__ = ["LOG", "Redacted", "redact_files"]

LOG = "redaction.jsonl"
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """What a redaction left.

    Attributes:
        log: the audit log, a JSON line a picture; later runs append to it.
        lines: those of this run.
    """

    log: Path
    lines: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is the same for every picture of a run."""

    judge: Judge | None
    classifier: str | None
    region: GivenRegion
    how: Cover


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
    progress: Progress | None = None,
) -> Redacted:
    """Cover each picture and write it with the same name: pixels only, no metadata, thumbnail or trailing bytes.

    Boxes and masks are in pixels of the upright picture. Every file of a folder must come out covered or be named as
    failed, also one that is no picture. A failed file is never written.

    Args:
        source: a picture, or a folder; folders in it are included, hidden files are not.
        out: a folder, or for one picture also a file name. Not the source itself.
        classifier: nsfw, imagenet or the path of an .onnx file; finds regions, and judges the result.
        class_name: what to cover; nsfw needs none.
        boxes: a file of boxes; without a classifier it must name every picture, if with an empty list.
        mask: a mask for all, or a folder of masks.
        how: the style; solid black where not given.
        pass_score: largest score that counts as gone; 0.2 where not given.
        progress: told of each file.

    Raises:
        InputError: settings that do not fit; nothing is written.
        WeightsError: the classifier's weights are missing; nothing is written.
        PartialFailure: some files failed; the others are written.
    """
    if classifier is None and boxes is None and mask is None:
        raise InputError("say what to cover: --classifier nsfw, --classifier imagenet --class NAME, --boxes or --mask")
    files = _files(source, out, {path.resolve() for path in (boxes, mask) if path is not None})
    judge = classifier and Judge.of(load_classifier(classifier), class_name, pass_score=pass_score)
    region = given_region({name for name, (_, target) in files.items() if target}, boxes=boxes, mask=mask)
    job = _Job(judge=judge or None, classifier=classifier, region=region, how=how or Cover())
    if problem := cosmetic(job.how):
        warnings.warn(problem, CosmeticWarning, stacklevel=2)
    log = (out if source.is_dir() or out.suffix.lower() not in IMAGE_SUFFIXES else out.parent) / LOG
    lines = []
    for done, (name, (path, target)) in enumerate(files.items(), start=1):
        lines.append(_redact_file(name, path, target, job))
        append_line(log, json.dumps(lines[-1], ensure_ascii=False))
        if progress:
            progress("redacting", done, len(files))
    if failures := {line["file"]: line["failed"] for line in lines if "failed" in line}:
        raise PartialFailure(failures, len(files))
    return Redacted(log=log, lines=lines)


def _files(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    """Name -> (file, where its result goes, None for no picture), of all that a person would think is redacted."""
    if source.is_dir():
        return _files_of_folder(source, out, aside)
    target = out if out.suffix.lower() in IMAGE_SUFFIXES else out / source.name
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original; give another name")
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder")
    return {source.name: (source, _target(source, target))}


def _files_of_folder(source: Path, out: Path, aside: set[Path]) -> dict[str, tuple[Path, Path | None]]:
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the folder of the originals; give another one")
    aside = {path for path in {*aside, out.resolve()} if source.resolve() in path.parents}
    inside = [path.relative_to(source) for path in sorted(source.rglob("*")) if _counts(path, source, aside)]
    if not inside:
        raise InputError(f"{source}: no files in it")
    return {path.as_posix(): (source / path, _target(path, out / path)) for path in inside}


def _counts(path: Path, folder: Path, aside: set[Path]) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden and not any(path.resolve().is_relative_to(other) for other in aside)


def _target(path: Path, target: Path) -> Path | None:
    return target if path.suffix.lower() in IMAGE_SUFFIXES else None


def _redact_file(name: str, path: Path, target: Path | None, job: _Job) -> dict[str, Any]:
    """Redact one file; its line for the log, with "failed" where it could not be."""
    line: dict[str, Any] = {"file": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        if target is None:
            raise InputError("not a picture that can be redacted; leave it out, or save it as PNG, JPEG, WebP or TIFF")
        line["sha256_in"] = hashlib.sha256(path.read_bytes()).hexdigest()
        redaction = _redact(name, path, job)
        write_image(target, redaction.picture)
    except FILE_ERRORS as error:
        stale = f"; an older {target} is still there" if target is not None and target.exists() else ""
        return {**line, "failed": f"{problem_of(error)}{stale}"}
    return {**line, "sha256_out": hashlib.sha256(target.read_bytes()).hexdigest(), **_record(redaction, job)}


def _redact(name: str, path: Path, job: _Job) -> Redaction:
    picture = read_image(path)
    region = job.region(picture, name)
    if region is None and job.judge is None:
        raise InputError("nothing says what to cover in it; give it a mask or boxes ([] for none), or a classifier")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosmeticWarning)  # said once for all pictures
        return redact_picture(picture, region=region, judge=job.judge, how=job.how)


def _record(redaction: Redaction, job: _Job) -> dict[str, Any]:
    """What the log says about a covered picture."""
    boxes = [[box.left, box.top, box.right, box.bottom] for box in redaction.boxes]
    before, after = redaction.score_before, redaction.score_after
    return {
        "region": {"boxes": boxes, "share": round(float(redaction.region.mean()), 6), "whole": redaction.whole},
        "style": redaction.style,
        "cosmetic": redaction.style != "solid" and cosmetic(job.how) is not None,
        "widened": redaction.widened,
        "classifier": job.classifier,
        "class": job.judge.class_name if job.judge else None,
        "score_before": before.as_record() if before else None,
        "score_after": after.as_record() if after else None,
    }
