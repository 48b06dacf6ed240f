"""Job requests of the studio: converts requests with ids into tasks with paths of the server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganvas.errors import InputError
from ganvas.localization.detectors import DETECTORS
from ganvas.localization.load import CLASSIFIERS
from ganvas.methods.config import Direction
from ganvas.studio.cover_audit import CoverAuditTask
from ganvas.studio.jobs import Job, JobQueue
from ganvas.studio.library import Library
from ganvas.studio.redaction import Finder, FindTask, PairsTask, RedactTask, Source, Strength
from ganvas.studio.review import media_type, record_redaction
from ganvas.studio.storage import Storage
from ganvas.studio.trainings import Trainings
from ganvas.studio.translation import TranslateTask

__all__ = ["JobRequest", "Studio", "make_job"]


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """Request for a job from the page; the kind of job determines which fields apply.

    Attributes:
        files: ids of uploads.
        finder: classifiers and detectors, with ids of models instead of paths.
        strength: style and strength of the cover.
        mask_only: cover only the painted regions.
        run: id of a run, or of a model.
        direction: direction of the translation.
        tile: see `TranslateConfig.tile`.
    """

    files: tuple[str, ...] = ()
    finder: Finder = field(default_factory=Finder)
    strength: Strength = field(default_factory=Strength)
    mask_only: bool = False
    run: str = ""
    direction: Direction = "a_to_b"
    tile: int | None = None


@dataclass(kw_only=True)
class Studio:
    """State of the studio.

    Attributes:
        storage: uploads and results.
        library: runs, reports and models.
        work: queue of the jobs that the page starts.
        inspection: queue of the inspection of uploads, which does not wait for other work.
        trainings: training runs started from the studio.
    """

    storage: Storage
    library: Library
    work: JobQueue
    inspection: JobQueue
    trainings: Trainings

    def sources(self, keys: Sequence[str]) -> list[Source]:
        """Return the sources of uploads for tasks.

        Raises:
            KeyError: an upload no longer exists.
            InputError: there are no ids.
        """
        if not keys:
            raise InputError("choose a picture or a film first")
        uploads = [self.storage.get(key) for key in dict.fromkeys(keys)]
        return [Source(id=one.id, name=one.name, path=one.path, mask=one.mask) for one in uploads]

    def resolved(self, finder: Finder) -> Finder:
        """Return a finder in which ids of models are replaced by their paths."""

        def path_of(name: str, known: tuple[str, ...]) -> str:
            return name if name in known else str(self.library.get(name, "model").path)

        classifier = None if finder.classifier is None else path_of(finder.classifier, CLASSIFIERS)
        return replace(finder, classifier=classifier, detect=tuple(path_of(name, DETECTORS) for name in finder.detect))

    def expire(self) -> None:
        """Remove files that were unused for long, except those of waiting and running jobs."""
        self.storage.expire(self.work.needed())

    def clean(self, message: str) -> str:
        """Return a message without the names of temporary folders."""
        return re.sub(rf"{re.escape(str(self.storage.folder))}/(?:[\w-]+/)*", "", message)


def make_job(studio: Studio, kind: str, request: JobRequest) -> Job:
    """Return the job for a request.

    Args:
        studio: studio with the storage and library of the ids.
        kind: find, redact, pairs, translate or cover_audit.
        request: see `JobRequest`.

    Raises:
        KeyError: no such kind, upload, run or model.
        ConfigError: the settings are invalid.
    """
    makers: dict[str, Callable[[Studio, JobRequest], Job]] = {
        "find": _find,
        "redact": _redact,
        "pairs": _pairs,
        "translate": _translate,
        "cover_audit": _cover_audit,
    }
    return makers[kind](studio, request)


def _find(studio: Studio, request: JobRequest) -> Job:
    if request.finder.is_empty:
        raise InputError("choose a classifier or a detector first")
    (source,) = studio.sources(request.files[:1])
    folder = studio.storage.work_folder(source.id)
    task = FindTask(source=source, finder=studio.resolved(request.finder), folder=folder)

    def receive(found: dict[str, Any]) -> dict[str, Any]:
        heat = found.pop("heat_path")
        return {
            **found,
            "file": source.id,
            "heat": heat and studio.storage.publish(Path(heat), "image/png", "heat.png"),
        }

    return Job(task, "find", f"Find regions in {source.name}", receive, needs=_needs(folder, [source]))


def _redact(studio: Studio, request: JobRequest) -> Job:
    sources = studio.sources(request.files)
    _ = request.strength.cover  # its constructor checks the settings
    folder = studio.storage.work_folder(sources[0].id if len(sources) == 1 else None)
    task = RedactTask(
        sources=sources, finder=studio.resolved(request.finder), strength=request.strength, folder=folder,
        mask_only=request.mask_only,
    )  # fmt: skip

    def receive(content: dict[str, Any]) -> dict[str, Any]:
        return record_redaction(studio.storage, content)

    return Job(task, "redact", f"Redact {_named(sources)}", receive, needs=_needs(folder, sources))


def _pairs(studio: Studio, request: JobRequest) -> Job:
    uploads = [studio.storage.get(key) for key in request.files]
    boxes = {one.name: one.review["line"]["region"]["boxes"] for one in uploads if one.review.get("path")}
    sources = [one for one in studio.sources(request.files) if boxes.get(one.name)]
    if not sources:
        raise InputError("redact some pictures first: their covered regions are degraded")
    out = studio.library.root / f"studio-pairs-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = studio.storage.work_folder()
    boxes = {one.name: boxes[one.name] for one in sources}
    task = PairsTask(sources=sources, boxes=boxes, strength=request.strength, folder=folder, out=out)
    return Job(task, "pairs", f"Save training pairs of {_named(sources)}", needs=_needs(folder, sources))


def _translate(studio: Studio, request: JobRequest) -> Job:
    entry, sources = studio.library.get(request.run, "run", "model"), studio.sources(request.files)
    folder = studio.storage.work_folder(sources[0].id if len(sources) == 1 else None)
    task = TranslateTask(
        run_path=entry.path, run_name=entry.name, sources=sources, direction=request.direction, tile=request.tile,
        folder=folder,
    )  # fmt: skip

    def receive(content: dict[str, Any]) -> dict[str, Any]:
        for one in content["results"]:
            if (path := one.pop("result_path", None)) is not None:
                result = Path(path)
                one["view"] = studio.storage.publish(Path(one.pop("view_path")), "image/png", f"{result.stem}.png")
                one["result"] = studio.storage.publish(result, media_type(result), result.name)
                one["film"] = media_type(result).startswith("video/")
        return {**content, "run_id": entry.id}

    title = f"Translate {_named(sources)} by {entry.name}"
    return Job(task, "translate", title, receive, needs=_needs(folder, sources))


def _cover_audit(studio: Studio, request: JobRequest) -> Job:
    _ = request.strength.cover
    task = CoverAuditTask(strength=request.strength, folder=studio.storage.work_folder())
    return Job(task, "cover_audit", "Measure how much the cover hides", needs=[task.folder])


def _needs(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """Return what the storage keeps for a job until its end: its folder and its sources."""
    return [folder, *(one.path for one in sources)]


def _named(sources: Sequence[Source]) -> str:
    return sources[0].name if len(sources) == 1 else f"{len(sources)} files"
