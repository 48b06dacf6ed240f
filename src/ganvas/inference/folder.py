"""Translation of a picture, a film or a folder, resumable, with names and formats preserved."""

from __future__ import annotations

import platform
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from ganvas.bulk.journal import Journal, hash_files, hash_settings, joined_hashes
from ganvas.bulk.ray_backend import Backend, check_workers
from ganvas.bulk.runner import Job, Result, Task, Worker, find_files, names_file, require_suffix, run_jobs
from ganvas.errors import ConfigError, InputError, PartialFailure, PolicyRefusal
from ganvas.filesystem import claimed, files_in, require_apart, swept_beside
from ganvas.hardware import Precision, PrecisionChoice
from ganvas.image.codecs import IMAGE_SUFFIXES
from ganvas.image.cover import MaskFolder
from ganvas.image.files import read_image
from ganvas.image.label import SyntheticLabel, with_sidecar
from ganvas.inference.config import FilmOptions
from ganvas.inference.file_worker import FileWorker
from ganvas.inference.film import ANIMATED_SUFFIXES, names_film, translate_film
from ganvas.inference.models import checked_precision, model_files, read_files
from ganvas.inference.onnx_model import OnnxConfig
from ganvas.inference.pipeline import Settings, lost, write_result
from ganvas.inference.runtimes import TORCH, RuntimeChoice
from ganvas.inference.tiling import plan_tiles
from ganvas.inference.translation import ConversionWarning
from ganvas.inference.translator import Translator
from ganvas.methods.config import Direction
from ganvas.progress import Progress, progress_bars
from ganvas.runs import SnapshotName
from ganvas.runs.published import run_name
from ganvas.video import WRITTEN_SUFFIXES

__all__ = ["TranslationReport", "as_one", "translate_files"]

MANIFEST_NAME = "translate.jsonl"
FILM_DEFAULTS = FilmOptions()
FILMS = WRITTEN_SUFFIXES | ANIMATED_SUFFIXES
"""Suffixes of films and animations."""


@dataclass(frozen=True)
class TranslationReport:
    """Report of a batch translation.

    Attributes:
        written: files written by this call.
        skipped: files that an earlier call with the same run, settings and pictures has written.
        refused: name -> refusal; no file was written.
        failures: name -> problem; no file was written.
        notes: sentence -> number of pictures to which it applies.
        seconds: duration of the whole call.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    refused: dict[str, PolicyRefusal] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        earlier = f", {len(self.skipped)} already existed" if self.skipped else ""
        return f"{len(self.written)} written{earlier}, in {self.seconds:.1f} s"

    def count(self, job: Job, result: Result) -> None:
        """Add the result of one picture."""
        assert job.target is not None
        if result.line is None:
            self.skipped.append(job.target)
        elif result.refusal is not None:
            self.refused[job.name] = PolicyRefusal(**result.refusal)
        elif problem := result.line["problem"]:
            self.failures[job.name] = problem
        else:
            self.written.append(job.target)
            self.notes.update(result.line["notes"])


def as_one(refusals: Sequence[PolicyRefusal], total: int) -> PolicyRefusal:
    """Return the error for the refusals among `total` pictures: the only refusal, or an error that lists all."""
    if len(refusals) == 1:
        return refusals[0]
    scores = [refusal.score for refusal in refusals if refusal.score is not None]
    reason = "; ".join(str(refusal) for refusal in refusals)
    return PolicyRefusal(f"{len(refusals)} of {total} pictures", reason, max(scores, default=None))


@dataclass(frozen=True)
class _Plan:
    """Picklable settings of a translation."""

    run: Path
    mask: Path | None
    tile: int | None
    overlap: int | None
    suffix: str | None
    snapshot: SnapshotName | Path
    device: str
    seed: int
    precision: Precision
    direction: Direction
    film: FilmOptions
    runtime: RuntimeChoice

    def load(self) -> Settings:
        """Load the run; raise errors that would otherwise occur for every picture."""
        translator = Translator.load(
            self.run,
            snapshot=self.snapshot,
            device=self.device,
            seed=self.seed,
            precision=self.precision,
            direction=self.direction,
            runtime=self.runtime,
        )
        _check_tile(translator, self.tile, self.overlap)
        if self.mask is not None and not self.mask.exists():
            raise InputError(f"{self.mask}: no such mask or folder of masks; check the name")
        if self.mask is not None and translator.model.scale > 1:
            raise ConfigError(f"{self.run} upscales pictures, so no part of a picture can be replaced: omit --mask")
        label = _label(self.run, translator, self.mask)
        return Settings(
            translator=translator,
            label=label,
            tile=self.tile,
            overlap=self.overlap,
            masks=MaskFolder(self.mask) if self.mask is not None and self.mask.is_dir() else self.mask,
        )

    def identity(self) -> str:
        """Return the SHA-256 of everything except the file, its mask and `film` that determines a result."""
        files = hash_files(*model_files(self.run, self.snapshot))
        how = [] if (self.precision, self.direction) == ("float32", "a_to_b") else [self.precision, self.direction]
        runtime = [] if self.runtime.name in ("auto", "torch") else [self.runtime.name]
        return hash_settings([files, self.tile, self.overlap, self.suffix, self.seed, *how, *runtime])


def translate_files(
    run: Path,
    source: Path,
    out: Path,
    *,
    mask: Path | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    suffix: str | None = None,
    recursive: bool = False,
    snapshot: SnapshotName | Path = "auto",
    device: str = "auto",
    seed: int = 0,
    precision: PrecisionChoice = "float32",
    direction: Direction = "a_to_b",
    film: FilmOptions = FILM_DEFAULTS,
    runtime: RuntimeChoice = TORCH,
    backend: Backend = "local",
    workers: int | None = None,
    progress: bool = True,
) -> TranslationReport:
    """Translate a picture, a film or a folder of both, each file independently, and label the results as synthetic.

    Args:
        run: a run folder, or an .onnx file.
        source: a picture, a film or a folder; GIF, WebP and APNG animations are films.
        out: a folder, in which `translate.jsonl` lists finished files; for one picture or film also an output file.
        mask: a mask, or a folder of masks, see `MaskFolder`; only pixels under white are replaced.
        tile: side of the tiles in which large pictures are processed; unset: whole pictures.
        overlap: overlap of the tiles on each side in pixels; unset: as much as exact results need.
        suffix: output format, such as ".tif" or ".mkv"; unset: that of each picture or film.
        recursive: include subfolders of `source`, with the same structure in `out`.
        snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: seed of the method's noise, if it has any.
        precision: precision of the convolutions; auto is bfloat16 where that is fast, else float32 (docs/translate.md).
        direction: b_to_a translates in the reverse direction, for methods that learn both.
        film: settings that apply to films only.
        runtime: runtime that executes the network.
        backend: local, or ray for the workers of a cluster (docs/scale.md).
        workers: number of Ray workers; None for one per core, or one per GPU.
        progress: show a progress bar with the remaining time.

    Raises:
        PolicyRefusal: files were refused and none failed otherwise; the others are written.
        PartialFailure: files failed; the others are written. It lists refused ones too.
        InputError: the run, the source or a setting is invalid; for one file, that file.
        MissingDependency: Ray is requested but not installed, or PyAV for a film.
    """
    check_workers(backend, workers)
    chosen = checked_precision(run, precision, snapshot=snapshot, device=device, runtime=runtime)
    plan = _Plan(run, mask, tile, overlap, suffix, snapshot, device, seed, chosen, direction, film, runtime)
    jobs = _jobs(source, out, plan, recursive=recursive)
    with progress_bars(shown=progress) as report_progress:
        if source.is_file() and jobs[0].target == out:
            with swept_beside(out.parent):
                return _translate_one(jobs[0], plan, backend, workers, report_progress)
        with claimed(out, beside={job.target.parent for job in jobs if job.target}):
            report = _translate_all(jobs, plan, out, backend, workers, report_progress)
    return _checked(report, len(jobs), alone=source.is_file())


def _translate_all(
    jobs: Sequence[Job], plan: _Plan, out: Path | None, backend: Backend, workers: int | None, progress: Progress
) -> TranslationReport:
    """Translate into a folder that this process has locked, continuing its manifest; no manifest if `out` is None."""
    started = time.monotonic()
    with ThreadPoolExecutor(1) as beside:  # hash the run's files while it is loaded
        hashing = beside.submit(plan.identity)
        settings, identity = plan.load(), hashing.result()
    worker, report = FileWorker(settings, identity, plan.film), TranslationReport()
    is_new = out is not None and not (out / MANIFEST_NAME).exists()
    manifest = None if out is None else Journal(out / MANIFEST_NAME, name_key="name", proof_of=_proof)
    task = Task(
        name="translate",
        start=(lambda: worker) if backend == "local" else partial(_start, plan, identity),
        lost=partial(lost, identity),
        on_gpu=None if plan.device == "auto" else plan.device.startswith("cuda"),
        divide=worker.divide,
    )
    with closing(run_jobs(jobs, task, manifest, backend=backend, workers=workers, progress=progress)) as results:
        for job, result in results:
            report.count(job, result)
    if manifest and is_new and len(jobs) == 1 and not report.written:  # a failed picture leaves no files
        manifest.path.unlink(missing_ok=True)
    return replace(report, seconds=time.monotonic() - started)


def _proof(row: dict[str, object]) -> bytes | None:
    return joined_hashes(row, "settings", "input", "output")


def _jobs(source: Path, out: Path, plan: _Plan, *, recursive: bool) -> list[Job]:
    """Return a job for each picture and film.

    Raises:
        InputError: no input, a picture would be overwritten, or `out` has an unsupported suffix.
    """
    suffix = plan.suffix
    require_suffix(suffix, IMAGE_SUFFIXES | FILMS)
    files = find_files(source, out, recursive=recursive, also=names_film)
    is_file = not source.is_dir() and names_file(out, FILMS if names_film(source) else IMAGE_SUFFIXES)
    targets = {name: out if is_file else out / _target(name, path, suffix) for name, path in files.items()}
    if suffix and suffix not in IMAGE_SUFFIXES and not any(target.suffix == suffix for target in targets.values()):
        raise InputError(f"suffix {suffix!r} is not a picture format, and there are no films; omit it")
    if twice := [str(target) for target, count in Counter(targets.values()).items() if count > 1]:
        raise InputError(f"two pictures would be written to {', '.join(twice[:5])}; rename one or omit the suffix")
    jobs = [Job(name=name, source=path, target=targets[name]) for name, path in files.items()]
    _check_targets(jobs, plan, out)
    return jobs


def _target(name: str, source: Path, suffix: str | None) -> str:
    """Return the path of a result relative to the output folder; a suffix of pictures does not apply to films."""
    if suffix is None or suffix.lower() not in (FILMS - IMAGE_SUFFIXES if names_film(source) else IMAGE_SUFFIXES):
        return name
    return str(Path(name).with_suffix(suffix))


def _check_targets(jobs: Sequence[Job], plan: _Plan, out: Path) -> None:
    """Raise InputError if a translation, its sidecar or the manifest would replace a file that is read."""
    targets = [path for job in jobs if job.target for path in with_sidecar(job.target)]
    if jobs[0].target != out:
        targets.append(out / MANIFEST_NAME)
    require_apart(targets, chain((job.source for job in jobs), files_in(plan.mask), read_files(plan.run)))


def _check_tile(translator: Translator, tile: int | None, overlap: int | None) -> None:
    """Raise errors early that would otherwise occur for every picture."""
    model = translator.model
    if tile is not None or model.fixed_size != (None, None):
        rows, columns = (side or model.size_multiple for side in model.fixed_size)
        plan_tiles(
            rows, columns, tile=tile, overlap=overlap, multiple=model.size_multiple, context=model.context,
            smallest=model.smallest_side, fixed_size=model.fixed_size,
        )  # fmt: skip


def _label(run: Path, translator: Translator, mask: Path | None) -> SyntheticLabel:
    method = translator.record.method
    named = f"{type(method).__name__.removesuffix('Config')} ({run_name(run)})"
    part = "The region of this picture under the mask" if mask else "This picture"
    return SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=method.model if isinstance(method, OnnxConfig) else named,
        note=f"{part} was generated by a trained image-to-image model.",
    )


def _translate_one(
    job: Job, plan: _Plan, backend: Backend, workers: int | None, progress: Progress
) -> TranslationReport:
    """Translate one picture or film to one file, without a manifest; a cluster is used for films only."""
    assert job.target is not None
    if backend == "ray" and names_film(job.source):
        report = _translate_all([replace(job, known=True)], plan, None, backend, workers, progress)
        return _checked(report, 1, alone=True)
    started, settings = time.monotonic(), plan.load()
    if names_film(job.source):
        notes = translate_film(job, settings, plan.film, hash_settings([plan.identity(), plan.film]), progress=progress)
    else:
        picture = read_image(job.source)
        translation = settings.translator.translate_picture(
            picture, name=job.name, tile=settings.tile, overlap=settings.overlap, progress=progress
        )
        write_result(job, settings, picture, translation)
        notes = translation.all_notes
    report = TranslationReport([job.target], notes=Counter(notes), seconds=time.monotonic() - started)
    _warn(report)
    return report


def _start(plan: _Plan, identity: str) -> Worker:
    """Load the run in another process and verify it against `identity`."""
    alone = replace(plan, device=plan.device.partition(":")[0])  # the worker sees one GPU
    if alone.identity() != identity:
        raise InputError(f"{plan.run} differs on {platform.node()}; store it where all machines share it")
    return FileWorker(alone.load(), identity, plan.film)


def _warn(report: TranslationReport) -> None:
    """Issue one warning for all files with the same note."""
    for note, count in report.notes.items():
        warnings.warn(f"{note} ({count} file{'s' * (count > 1)})", ConversionWarning, stacklevel=4)


def _checked(report: TranslationReport, total: int, *, alone: bool) -> TranslationReport:
    """Return the report if all pictures were translated; raise otherwise."""
    _warn(report)
    refused = report.refused
    if report.failures:
        if alone:
            raise InputError(*report.failures.values())
        failures = report.failures | {name: str(refusal) for name, refusal in refused.items()}
        raise PartialFailure(failures, total, done=str(report))
    if refused:
        raise as_one([*refused.values()], total)
    return report
