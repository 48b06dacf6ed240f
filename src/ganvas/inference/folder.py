"""A picture or a folder of pictures through a run: names and formats kept, resumable, one bad file stops no other."""

from __future__ import annotations

import platform
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from ganvas.bulk.ray_backend import Engine, check_workers
from ganvas.errors import ConfigError, InputError, PartialFailure
from ganvas.filesystem import claimed, files_in, lies_in, require_apart, require_outside, swept_beside
from ganvas.hardware import Precision, PrecisionChoice
from ganvas.image.files import IMAGE_SUFFIXES, list_images, require_regular, warn_of_skipped
from ganvas.image.label import SyntheticLabel, with_sidecar
from ganvas.inference.device import pick_precision
from ganvas.inference.jobs import Job, Settings, TranslationReport, as_one, translate_alone
from ganvas.inference.manifest import MANIFEST_NAME, Manifest, hash_files, hash_settings, names_file
from ganvas.inference.pipeline import translate_all
from ganvas.inference.tiling import plan_tiles
from ganvas.inference.translator import ConversionWarning, Translation, Translator
from ganvas.methods.config import Direction
from ganvas.progress import progress_bars
from ganvas.runs import SnapshotName
from ganvas.runs.record import RECORD_NAME
from ganvas.runs.snapshots import find_snapshot, run_files

__all__ = ["TranslationReport", "translate_files"]


@dataclass(frozen=True)
class _Plan:
    """Settings of a translation; can be pickled."""

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

    def load(self) -> Settings:
        """Load the run; raise what would else fail for every picture."""
        translator = Translator.load(
            self.run,
            snapshot=self.snapshot,
            device=self.device,
            seed=self.seed,
            precision=self.precision,
            direction=self.direction,
        )
        _check_tile(translator, self.tile, self.overlap)
        if self.mask is not None and not self.mask.exists():
            raise InputError(f"{self.mask}: no such mask or folder of masks; check the name")
        if self.mask is not None and translator.method.scale > 1:
            raise ConfigError(f"{self.run} enlarges pictures, so no part of one can be replaced: leave --mask out")
        label = _label(self.run, translator, self.mask)
        return Settings(translator, label, self.tile, self.overlap, self.mask)

    def identity(self) -> str:
        """Return the SHA-256 of everything except the picture and its mask that determines a result."""
        files = hash_files(find_snapshot(self.run, self.snapshot), self.run / RECORD_NAME)
        how = [] if (self.precision, self.direction) == ("float32", "a_to_b") else [self.precision, self.direction]
        return hash_settings([files, self.tile, self.overlap, self.suffix, self.seed, *how])


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
    engine: Engine = "local",
    workers: int | None = None,
    progress: bool = True,
) -> TranslationReport:
    """Translate a picture or a folder, and label what is written as synthetic.

    A folder is processed to its end whatever happens to single pictures. Pictures that the manifest `translate.jsonl`
    in `out` lists with the same run, settings and content are skipped.

    Args:
        run: a run folder.
        source: a picture or a folder.
        out: a folder; for one picture also the file to write.
        mask: a picture, or a folder with one of each stem; only what is white in it is replaced.
        tile: largest side that the network is given at once; unset: whole pictures.
        overlap: surroundings that each tile sees on each side; unset: as much as exactness needs.
        suffix: write this format, such as ".tif", instead of each picture's own.
        recursive: folders below `source` too, laid out alike in `out`.
        snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: of the method's noise, if it has any.
        precision: of the convolutions; auto is bfloat16 where that is fast, else float32 (docs/translate.md).
        direction: b_to_a for the way back, of methods that learn both.
        engine: local, or ray for the workers of a cluster (docs/scale.md).
        workers: of ray; None for one a core, or one a GPU.
        progress: show a bar with the time left.

    Raises:
        PolicyRefusal: pictures were refused and nothing else went wrong; the others are written.
        PartialFailure: pictures failed; the others are written. It lists refused pictures too.
        InputError: the run, the source or a setting cannot be used; for one picture, that picture.
        MissingDependency: Ray is requested but not installed.
    """
    check_workers(engine, workers)
    plan = _Plan(run, mask, tile, overlap, suffix, snapshot, device, seed, pick_precision(precision, device), direction)
    jobs = _jobs(source, out, suffix=suffix, recursive=recursive)
    _check_targets(jobs, plan, out)  # no output replaces an input
    if source.is_file() and jobs[0].target == out:
        with swept_beside(out.parent):
            return _translate_one(jobs[0], plan.load(), progress=progress)
    # One process at a time continues the manifest of a folder
    with claimed(out, beside={job.target.parent for job in jobs}):
        report = _translate_folder(jobs, plan, out, engine=engine, workers=workers, progress=progress)
    return _checked(report, len(jobs), alone=source.is_file())


def _translate_folder(
    jobs: Sequence[Job], plan: _Plan, out: Path, *, engine: Engine, workers: int | None, progress: bool
) -> TranslationReport:
    """Translate into a folder that this process holds."""
    settings, identity = _load_and_identify(plan)
    is_new = not (out / MANIFEST_NAME).exists()
    manifest, report, started = Manifest(out, identity), TranslationReport(), time.monotonic()
    if engine == "ray":
        _translate_on_ray(jobs, manifest, report, plan=plan, workers=workers, progress=progress)
    else:
        translate_all(jobs, manifest, report, settings=settings, progress=progress)
    if is_new and len(jobs) == 1 and not report.written:  # a picture that fails leaves nothing behind
        manifest.path.unlink(missing_ok=True)
    return replace(report, seconds=time.monotonic() - started)


def _load_and_identify(plan: _Plan) -> tuple[Settings, str]:
    with ThreadPoolExecutor(1) as beside:
        identity = beside.submit(plan.identity)
        return plan.load(), identity.result()


def _translate_on_ray(
    jobs: Sequence[Job],
    manifest: Manifest,
    report: TranslationReport,
    *,
    plan: _Plan,
    workers: int | None,
    progress: bool,
) -> None:
    from ganvas.inference.ray_folder import translate_on_ray

    start = partial(_start, plan, manifest.settings)
    translate_on_ray(jobs, manifest, report, start=start, workers=workers, device=plan.device, progress=progress)


def _jobs(source: Path, out: Path, *, suffix: str | None, recursive: bool) -> list[Job]:
    """Return a job for each picture.

    Raises:
        InputError: nothing to translate, a picture would be overwritten, or `out` has an ending that is no format.
    """
    if suffix is not None and suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"suffix {suffix!r} is no format; give one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the name")
    require_regular(source)
    if source.is_dir():
        require_outside(out, source)
        paths, root = list_images(source, recursive=recursive), source
        if not lies_in(root, out):  # pictures behind a link may lie there
            paths = [path for path in paths if not lies_in(path, out)]
        warn_of_skipped(source, recursive=recursive, out=out)
    else:
        paths, root = [source], source.parent
    if not paths:
        raise InputError(f"{source}: no pictures in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
    is_file = not source.is_dir() and names_file(out)
    names = [path.relative_to(root) for path in paths]
    targets = [out if is_file else out / (name.with_suffix(suffix) if suffix else name) for name in names]
    if twice := [str(target) for target, count in Counter(targets).items() if count > 1]:
        raise InputError(f"two pictures would be written to {', '.join(twice[:5])}; rename one or leave the suffix out")
    return [Job(path, target, name.as_posix()) for path, target, name in zip(paths, targets, names, strict=True)]


def _check_targets(jobs: Sequence[Job], plan: _Plan, out: Path) -> None:
    """Raise InputError where a translation, its sidecar or the manifest would replace a file that is read."""
    targets = [path for job in jobs for path in with_sidecar(job.target)]
    if jobs[0].target != out:
        targets.append(out / MANIFEST_NAME)
    require_apart(targets, chain((job.source for job in jobs), files_in(plan.mask), run_files(plan.run)))


def _check_tile(translator: Translator, tile: int | None, overlap: int | None) -> None:
    """Raise early what would otherwise fail for every picture."""
    if tile is not None:
        multiple = translator.method.size_multiple
        plan_tiles(multiple, multiple, tile=tile, overlap=overlap, multiple=multiple, context=translator.method.context)


def _label(run: Path, translator: Translator, mask: Path | None) -> SyntheticLabel:
    method = type(translator.record.method).__name__.removesuffix("Config")
    part = "What the mask marks in this picture" if mask else "This picture"
    return SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=f"{method} ({run.resolve().name})",
        note=f"{part} was made by a trained image-to-image model.",
    )


def _translate_one(job: Job, settings: Settings, *, progress: bool) -> TranslationReport:
    """Translate one picture to one file, without a manifest."""
    started = time.monotonic()
    with progress_bars(shown=progress) as tell:
        translation = translate_alone(job, settings, tell=partial(tell, "tiles"))
    report = TranslationReport([job.target], notes=Counter(_notes(translation)), seconds=time.monotonic() - started)
    _warn(report)
    return report


def _start(plan: _Plan, identity: str) -> Callable[[Sequence[Job], Manifest, TranslationReport], None]:
    """Load the run in another process; it must be the run that `identity` names."""
    alone = replace(plan, device=plan.device.partition(":")[0])  # it sees one GPU
    if alone.identity() != identity:
        raise InputError(f"{plan.run} is another run on {platform.node()}; put it where all machines share it")
    return partial(translate_all, settings=alone.load(), progress=False)


def _notes(translation: Translation) -> tuple[str, ...]:
    return translation.notes + ((translation.tiling_note,) if translation.tiling_note else ())


def _warn(report: TranslationReport) -> None:
    """Warn once for all pictures with the same note."""
    for note, count in report.notes.items():
        warnings.warn(f"{note} ({count} picture{'s' * (count > 1)})", ConversionWarning, stacklevel=4)


def _checked(report: TranslationReport, total: int, *, alone: bool) -> TranslationReport:
    """Return the report if all pictures were translated; raise otherwise."""
    _warn(report)
    refused = report.refused
    if report.failures:
        if alone:
            raise InputError(*report.failures.values())
        raise PartialFailure({**report.failures, **{name: str(refusal) for name, refusal in refused.items()}}, total)
    if refused:
        raise as_one([*refused.values()], total)
    return report
