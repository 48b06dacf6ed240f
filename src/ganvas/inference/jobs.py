"""Translation jobs, their settings and their report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganvas.content_gate import admit
from ganvas.errors import PolicyRefusal
from ganvas.image.files import read_image, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.inference.compositing import composite, find_mask, read_mask
from ganvas.inference.tiling import Tell
from ganvas.inference.translator import Translation, Translator


@dataclass(frozen=True)
class TranslationReport:
    """Report of a batch translation.

    Attributes:
        written: files written now.
        skipped: files that an earlier call with the same run, settings and pictures had written.
        refused: name -> refusal; nothing was written for these.
        failures: name -> what went wrong; nothing was written for these.
        notes: sentence -> number of pictures to which it applies.
        seconds: of the whole run.
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


def as_one(refusals: Sequence[PolicyRefusal], total: int) -> PolicyRefusal:
    """Return the error to raise for the refusals among `total` pictures: the only one, or one that lists all."""
    if len(refusals) == 1:
        return refusals[0]
    scores = [refusal.score for refusal in refusals if refusal.score is not None]
    reason = "; ".join(str(refusal) for refusal in refusals)
    return PolicyRefusal(f"{len(refusals)} of {total} pictures", reason, max(scores, default=None))


@dataclass(frozen=True)
class Job:
    """One picture to translate."""

    source: Path
    target: Path
    name: str


@dataclass(frozen=True)
class Settings:
    """Everything except the picture that determines the result."""

    translator: Translator
    label: SyntheticLabel
    tile: int | None
    overlap: int | None
    masks: Path | None


def translate_alone(job: Job, settings: Settings, *, tell: Tell | None = None) -> Translation:
    """Read, translate, composite and write one picture; `tell` is called with the number of finished tiles.

    Raises:
        GanvasError: see `Translator.translate_picture` and `write_result`.
    """
    picture = read_image(job.source)
    translation = settings.translator.translate_picture(
        picture, name=job.name, tile=settings.tile, overlap=settings.overlap, tell=tell
    )
    write_result(job, settings, given=picture, made=translation.picture)
    return translation


def write_result(job: Job, settings: Settings, *, given: Picture, made: Picture) -> None:
    """Write an admitted translation; with masks, only the masked part of it, inside the original picture.

    Raises:
        ImageError: there is no fitting mask, or the format cannot hold the result.
        PolicyRefusal: the gate refused the composite.
    """
    if settings.masks is not None:
        mask = read_mask(find_mask(settings.masks, job.source), given)
        made = composite(given, made, mask)
        admit(made, name=f"{job.name} (translated)")
    write_image(job.target, made, synthetic=settings.label)
