"""A picture or a folder of pictures through a run: names and formats kept, resumable, one bad file stops no other."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, PolicyRefusal, problem_of
from ganvas.image.files import IMAGE_SUFFIXES, list_images, read_image, tell_passed_over, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.inference.compositing import composite, find_mask, read_mask
from ganvas.inference.manifest import Manifest, ManifestRow, hash_files, hash_settings
from ganvas.inference.record import RECORD_NAME, SnapshotName, find_snapshot
from ganvas.inference.tiling import plan_tiles
from ganvas.inference.translator import ConversionWarning, Translation, Translator
from ganvas.policy import admit
from ganvas.progress import track


@dataclass(frozen=True)
class TranslationReport:
    """What became of many pictures.

    Attributes:
        written: files written now.
        skipped: files that an earlier call with the same run, settings and pictures had written.
        refused: name -> refusal; nothing was written for these.
        failures: name -> what went wrong; nothing was written for these.
        notes: sentence -> number of pictures it is true of.
        seconds: in all.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    refused: dict[str, PolicyRefusal] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        earlier = f", {len(self.skipped)} were there already" if self.skipped else ""
        return f"{len(self.written)} written{earlier}, in {self.seconds:.1f} s"


@dataclass(frozen=True)
class _Job:
    """One picture to translate."""

    source: Path
    target: Path
    name: str


@dataclass(frozen=True)
class _Settings:
    """Everything but the picture that decides the result."""

    translator: Translator
    label: SyntheticLabel
    tile: int | None
    overlap: int | None
    masks: Path | None


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
    progress: bool = True,
) -> TranslationReport:
    """Translate a picture or a folder, and label what is written as synthetic.

    A folder is gone through to its end whatever happens to single pictures; what is already there from the same run,
    settings and picture content is skipped, by the manifest `translate.jsonl` in `out`.

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
        progress: show a bar with the time left.

    Raises:
        PolicyRefusal: pictures were refused and nothing else went wrong; the others are written.
        PartialFailure: pictures failed; the others are written. It lists refused pictures too.
        InputError: the run, the source or a setting cannot be used; for one picture, that picture.
    """
    jobs = _jobs(source, out, suffix=suffix, recursive=recursive)
    translator = Translator.load(run, snapshot=snapshot, device=device, seed=seed)
    _check_tile(translator, tile, overlap)
    if mask is not None and not mask.exists():
        raise InputError(f"{mask}: no such mask or folder of masks; check the name")
    settings = _Settings(translator, _label(run, translator, mask), tile, overlap, mask)
    if source.is_file() and jobs[0].target == out:
        return _translate_one(jobs[0], settings)
    if source.is_dir():
        tell_passed_over(source, recursive=recursive)
    decisive = [hash_files(find_snapshot(run, snapshot), run / RECORD_NAME), tile, overlap, suffix, seed]
    manifest = Manifest(out, hash_settings(decisive))
    report, started = TranslationReport(), time.monotonic()
    for job in track(jobs, "translate", total=len(jobs), shown=progress):
        _translate_listed(job, settings, manifest, report)
    report = TranslationReport(**{**vars(report), "seconds": time.monotonic() - started})
    _warn(report)
    _raise_problems(report, len(jobs), alone=source.is_file())
    return report


def _jobs(source: Path, out: Path, *, suffix: str | None, recursive: bool) -> list[_Job]:
    """The pictures, and where each goes.

    Raises:
        InputError: nothing to translate, or a picture would be overwritten.
    """
    if suffix is not None and suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"suffix {suffix!r} is no format; give one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; check the name")
    if source.is_dir():
        if out.resolve() == source.resolve() or (recursive and out.resolve().is_relative_to(source.resolve())):
            raise InputError(f"{out} lies in the pictures' own folder; choose another, so that none is overwritten")
        paths, root = list_images(source, recursive=recursive), source
    else:
        paths, root = [source], source.parent
    if not paths:
        raise InputError(f"{source}: no pictures in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
    is_file = not source.is_dir() and out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir()
    names = [path.relative_to(root) for path in paths]
    targets = [out if is_file else out / (name.with_suffix(suffix) if suffix else name) for name in names]
    _check_targets(paths, targets)
    return [_Job(path, target, name.as_posix()) for path, target, name in zip(paths, targets, names, strict=True)]


def _check_targets(paths: list[Path], targets: list[Path]) -> None:
    if twice := [str(target) for target, count in Counter(targets).items() if count > 1]:
        raise InputError(f"two pictures would be written to {', '.join(twice[:5])}; rename one or leave the suffix out")
    sources = {path.resolve() for path in paths}
    if over := [str(target) for target in targets if target.resolve() in sources]:
        raise InputError(f"{', '.join(over[:5])} would be overwritten by its own translation; choose another place")


def _check_tile(translator: Translator, tile: int | None, overlap: int | None) -> None:
    """Raise here what would else fail for every picture."""
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


def _translate_one(job: _Job, settings: _Settings) -> TranslationReport:
    """One picture to one file, with no manifest."""
    started = time.monotonic()
    translation = _translate(job, settings)
    report = TranslationReport([job.target], notes=Counter(_notes(translation)), seconds=time.monotonic() - started)
    _warn(report)
    return report


def _translate_listed(job: _Job, settings: _Settings, manifest: Manifest, report: TranslationReport) -> None:
    """One picture of many: whatever happens goes to the manifest and the report."""
    content, notes = "", tuple[str, ...]()
    output: str | None = None
    problem: str | None = None
    try:
        masks = [] if settings.masks is None else [find_mask(settings.masks, job.source)]
        content = hash_files(job.source, *masks)
        if manifest.is_done(job.name, content, job.target):
            report.skipped.append(job.target)
            return
        notes = _notes(_translate(job, settings))
        report.written.append(job.target)
        report.notes.update(notes)
        output = hash_files(job.target)
    except PolicyRefusal as refusal:
        report.refused[job.name] = refusal
        problem = str(refusal)
    except FILE_ERRORS as error:
        report.failures[job.name] = problem = problem_of(error)
    manifest.add(
        ManifestRow(
            name=job.name, input=content, settings=manifest.settings, output=output, problem=problem, notes=notes
        )
    )


def _translate(job: _Job, settings: _Settings) -> Translation:
    """Read, translate, composite, write: the file appears only when all went well."""
    picture = read_image(job.source)
    translation = settings.translator.translate_picture(
        picture, name=job.name, tile=settings.tile, overlap=settings.overlap
    )
    result = translation.picture
    if settings.masks is not None:
        result = _composite(picture, result, find_mask(settings.masks, job.source), job.name)
    write_image(job.target, result, synthetic=settings.label)
    return translation


def _composite(picture: Picture, translated: Picture, mask: Path, name: str) -> Picture:
    result = composite(picture, translated, read_mask(mask, picture))
    admit(result, name=f"{name} (translated)")
    return result


def _notes(translation: Translation) -> tuple[str, ...]:
    return translation.notes + ((translation.tiling_note,) if translation.tiling_note else ())


def _warn(report: TranslationReport) -> None:
    """Say once, for all pictures, what a person should know."""
    for note, count in report.notes.items():
        warnings.warn(f"{note} ({count} picture{'s' * (count > 1)})", ConversionWarning, stacklevel=3)


def _raise_problems(report: TranslationReport, total: int, *, alone: bool) -> None:
    refused = report.refused
    if report.failures:
        if alone:
            raise InputError(*report.failures.values())
        raise PartialFailure({**report.failures, **{name: str(refusal) for name, refusal in refused.items()}}, total)
    if len(refused) == 1:
        raise next(iter(refused.values()))
    if refused:
        scores = [refusal.score for refusal in refused.values() if refusal.score is not None]
        reason = "; ".join(str(refusal) for refusal in refused.values())
        raise PolicyRefusal(f"{len(refused)} of {total} pictures", reason, max(scores, default=None))
