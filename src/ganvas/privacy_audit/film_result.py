"""Result of a film's privacy audit: verdicts, table, JSON record and HTML report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ganvas.errors import PartialFailure
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.metrics.fidelity import Summary
from ganvas.privacy_audit.attacks import Shown
from ganvas.privacy_audit.audit_page import gallery_of
from ganvas.privacy_audit.report import HTML_NAME, JSON_NAME, TITLES
from ganvas.reports import html
from ganvas.reports.tables import Cell, Rows, tables_as_text

LEAKS, SOME = 1.0, 0.25
"""Gain in dB of fused frames over one: above the first a cover leaks, above the second a little."""
TABLE = "What frames together recover"
HOW = (
    "The frame in the middle of each clip is sought, inside the region. Bicubic interpolates between the means of its "
    "blocks; least squares finds the smoothest picture with these means. Fused is the same over all frames of the "
    "clip, each at its place: by the surroundings, from what is not covered; by the covered region, from the mosaic "
    "alone; motion known, from the original film, the most that an attacker can know. The gain is that of the best "
    "fused picture over the best of one frame. PSNR and SSIM: more is nearer to the truth; LPIPS: less is."
)
SYNTHETIC = "What a restorer adds is invented; what fused frames show is computed, and wrong where the motion is."
GridKind = Literal["fixed", "anchored", "solid"]


@dataclass(frozen=True)
class FilmPlan:
    """Cover of a film's region.

    Attributes:
        grid: of a mosaic, fixed to the screen or anchored to the region; or solid, one color.
        blocks: across the region's longer side; for solid those in which the attack reads it.
    """

    grid: GridKind
    blocks: int

    @property
    def name(self) -> str:
        """Return the name in tables."""
        return "solid" if self.grid == "solid" else f"mosaic, {self.blocks} blocks across, {self.grid} grid"


@dataclass(frozen=True)
class FilmClip:
    """Part of the film that was attacked.

    Attributes:
        first: number of its first frame.
        num_frames: that were fused.
        reference: number of the frame that is sought.
        box: left, top, right and bottom of the region in that frame.
        farthest: largest distance in pixels of the subject from its place in that frame.
    """

    first: int
    num_frames: int
    reference: int
    box: tuple[int, int, int, int]
    farthest: float


@dataclass(frozen=True)
class FilmCover:
    """Audit result of one cover.

    Attributes:
        plan: the cover.
        recovered: way -> measure -> over the clips.
        gains: of each clip, dB of PSNR of the best fused picture over the best of one frame.
        shown: name of a frame -> what each way made of it.
        refused: frame and way -> why the content gate refuses it.
    """

    plan: FilmPlan
    recovered: dict[str, dict[str, Summary]]
    gains: tuple[float, ...]
    shown: dict[str, Shown]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """Return the mean gain in dB; None where no clip has one."""
        return fmean(self.gains) if self.gains else None

    @property
    def leaks(self) -> bool:
        """Whether frames together show clearly more than one."""
        return self.gain is not None and self.gain > LEAKS

    def verdict(self) -> str:
        """Describe the cover in a sentence or two."""
        if self.gain is None:
            return f"{self.plan.name}: no verdict, since nothing could be measured."
        if self.plan.grid == "solid" and self.gain <= SOME:
            return "solid: nothing of the region is in any frame, and all frames together give nothing."
        spread = f"{self.gain:+.1f} dB over one frame, {min(self.gains):+.1f} to {max(self.gains):+.1f} in single clips"
        if self.leaks:
            return f"{self.plan.name}: leaks. Frames together show more than any one ({spread})."
        if self.gain > SOME:
            return f"{self.plan.name}: leaks a little ({spread})."
        return f"{self.plan.name}: frames together show no more than one ({spread}). What one shows, they show."


@dataclass(frozen=True, kw_only=True)
class FilmAudit:
    """Result of a film's privacy audit.

    Attributes:
        out: the folder written.
        config: the settings, for the record.
        size: width and height of the film.
        clips: parts that were attacked.
        covers: one for each cover.
        left_out: clip -> why it could not be used.
    """

    out: Path
    config: dict[str, Any]
    size: tuple[int, int]
    clips: tuple[FilmClip, ...]
    covers: tuple[FilmCover, ...]
    left_out: dict[str, str]

    @property
    def exit_code(self) -> int:
        """Return the exit code of a partial failure where clips could not be used, else 0."""
        return PartialFailure.exit_code if self.left_out else 0

    def conclusion(self) -> str:
        """Summarize all covers in words."""
        fixed = [cover for cover in self.covers if cover.plan.grid == "fixed"]
        anchored = [cover for cover in self.covers if cover.plan.grid == "anchored"]
        unknown = sum(cover.gain is None for cover in (*fixed, *anchored))
        said = f"{_count(fixed)} mosaics leak with their grid fixed to the screen, {_count(anchored)} anchored."
        said += f" {unknown} could not be measured." if unknown else ""
        return (
            f"{said} A better model of the motion, or a restorer that knows such pictures, recovers more, so these "
            "figures say how much shows at least. Only a solid cover keeps no pixel."
        )

    def as_record(self) -> dict[str, Any]:
        """Return the audit as JSON."""
        return {
            "terms": self.config,
            "size": list(self.size),
            "clips": [asdict(clip) for clip in self.clips],
            "covers": [_record_of(cover) for cover in self.covers],
            "conclusion": self.conclusion(),
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        lines = [cover.verdict() for cover in self.covers]
        failed = [f"left out: {name}: {why}" for name, why in _left_out(self).items()]
        text = tables_as_text({TABLE: _table(self)})
        return "\n".join([text, *lines, self.conclusion(), *failed, f"Report: {self.out / HTML_NAME}"])


def write_film_reports(audit: FilmAudit) -> None:
    """Write the JSON and the page; what an earlier call wrote is replaced."""
    write_json(audit.out / JSON_NAME, audit.as_record())
    write_text(audit.out / HTML_NAME, _as_html(audit))


def _count(covers: list[FilmCover]) -> str:
    """Return how many of the measured covers leak."""
    measured = [cover for cover in covers if cover.gain is not None]
    return f"{sum(cover.leaks for cover in measured)} of {len(measured)}"


def _record_of(cover: FilmCover) -> dict[str, Any]:
    recovered = {
        way: {name: vars(summary) for name, summary in measures.items()} for way, measures in cover.recovered.items()
    }
    return {
        "name": cover.plan.name,
        "grid": cover.plan.grid,
        "blocks": cover.plan.blocks,
        "recovered": recovered,
        "gains": list(cover.gains),
        "gain": cover.gain,
        "leaks": cover.leaks,
        "refused": cover.refused,
        "verdict": cover.verdict(),
    }


def _left_out(audit: FilmAudit) -> dict[str, str]:
    refused = {f"{cover.plan.name}: {name}": why for cover in audit.covers for name, why in cover.refused.items()}
    return audit.left_out | refused


def _table(audit: FilmAudit) -> Rows:
    rows: list[list[Cell]] = []
    for cover in audit.covers:
        for way, measures in cover.recovered.items():
            values = [measures[name].mean for name in TITLES]
            rows.append([f"{cover.plan.name}: {way}", *values])
    return ["", *TITLES.values()], rows


def _as_html(audit: FilmAudit) -> str:
    """Return the whole report as one HTML page."""
    verdicts = html.points([cover.verdict() for cover in audit.covers]) + html.paragraph(audit.conclusion())
    clips: list[list[Cell]] = [
        [f"frame {clip.reference:,}", clip.num_frames, ", ".join(map(str, clip.box)), clip.farthest]
        for clip in audit.clips
    ]
    attempts = {f"{cover.plan.name}: {name}": made for cover in audit.covers for name, made in cover.shown.items()}
    sections = [
        ("What frames together show", verdicts),
        (TABLE, html.table(*_table(audit))),
        ("Pictures", html.note(SYNTHETIC) + gallery_of(attempts)),
        ("Clips", html.table(["sought", "frames", "region", "moves by (pixels)"], clips)),
        ("How it was measured", html.note(HOW)),
    ]
    if missing := _left_out(audit):
        sections.append(("Left out", html.points([f"{name}: {why}" for name, why in missing.items()])))
    width, height = audit.size
    introduction = f"{audit.config['data']}, {width} x {height} pixels, {len(audit.clips)} clips."
    return html.page("How much covers of a film hide", html.paragraph(introduction), sections)
