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
"""Thresholds of the gain in dB of fused frames over one frame: above the first a cover leaks, above the second it leaks
a little."""
TABLE = "Reconstruction from fused frames"
HOW = (
    "Each attack reconstructs the region in the middle frame of a clip. Bicubic interpolates between the means of its "
    "blocks; least squares finds the smoothest picture with these means. Fused solves the same problem over all "
    "registered frames of the clip, with motion estimated from the uncovered surroundings, estimated from the covered "
    "region alone, or known from the original film (the best case for an attacker). The gain is the PSNR of the best "
    "fused picture minus that of the best reconstruction from one frame. PSNR and SSIM: higher is nearer to the "
    "original; LPIPS: lower is."
)
SYNTHETIC = (
    "Detail that a restorer adds is invented; fused frames are computed, and wrong where the estimated motion is."
)
GridKind = Literal["fixed", "anchored", "solid"]


@dataclass(frozen=True)
class FilmPlan:
    """Cover of a film's region.

    Attributes:
        grid: grid of a mosaic, fixed to the screen or anchored to the region; or solid, a single color.
        blocks: number of blocks across the region's longer side; for solid, the number that the attack assumes.
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
        num_frames: number of fused frames.
        reference: number of the reconstructed frame.
        box: left, top, right and bottom of the region in that frame.
        farthest: largest displacement of the subject from that frame in pixels.
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
        recovered: attack -> metric -> summary over the clips.
        gains: gain of each clip in dB of PSNR: the best fused picture minus the best reconstruction from one frame.
        shown: name of a frame -> result of each attack.
        refused: frame and attack -> reason why the content gate refuses the result.
    """

    plan: FilmPlan
    recovered: dict[str, dict[str, Summary]]
    gains: tuple[float, ...]
    shown: dict[str, Shown]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """Return the mean gain in dB; None if no clip has one."""
        return fmean(self.gains) if self.gains else None

    @property
    def leaks(self) -> bool:
        """Whether fused frames reveal clearly more than one frame."""
        return self.gain is not None and self.gain > LEAKS

    def verdict(self) -> str:
        """Describe the result for the cover in one or two sentences."""
        if self.gain is None:
            return f"{self.plan.name}: no verdict, because no clip could be measured."
        if self.plan.grid == "solid" and self.gain <= SOME:
            return "solid: no frame contains information about the region, and neither do all frames together."
        spread = f"{self.gain:+.1f} dB over one frame, {min(self.gains):+.1f} to {max(self.gains):+.1f} in single clips"
        if self.leaks:
            return f"{self.plan.name}: leaks. Fused frames reveal more than any single frame ({spread})."
        if self.gain > SOME:
            return f"{self.plan.name}: leaks a little ({spread})."
        return f"{self.plan.name}: fused frames reveal no more than one frame ({spread})."


@dataclass(frozen=True, kw_only=True)
class FilmAudit:
    """Result of a film's privacy audit.

    Attributes:
        out: the output folder.
        config: the settings, for the record.
        size: width and height of the film.
        clips: parts that were attacked.
        covers: one for each cover.
        left_out: clip -> reason why it could not be used.
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
        """Summarize the results of all covers as text."""
        fixed = [cover for cover in self.covers if cover.plan.grid == "fixed"]
        anchored = [cover for cover in self.covers if cover.plan.grid == "anchored"]
        unknown = sum(cover.gain is None for cover in (*fixed, *anchored))
        said = f"{_count(fixed)} mosaics leak with their grid fixed to the screen, {_count(anchored)} anchored."
        said += f" {unknown} could not be measured." if unknown else ""
        return (
            f"{said} A better model of the motion, or a restorer that knows such pictures, recovers more, so these "
            "figures are a lower bound. Only a solid cover preserves no pixel."
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
        failed = [f"excluded: {name}: {why}" for name, why in _left_out(self).items()]
        text = tables_as_text({TABLE: _table(self)})
        return "\n".join([text, *lines, self.conclusion(), *failed, f"Report: {self.out / HTML_NAME}"])


def write_film_reports(audit: FilmAudit) -> None:
    """Write the JSON and the page, replacing those of an earlier call."""
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
        ("Pictures from fused frames", verdicts),
        (TABLE, html.table(*_table(audit))),
        ("Pictures", html.note(SYNTHETIC) + gallery_of(attempts)),
        ("Clips", html.table(["sought", "frames", "region", "moves by (pixels)"], clips)),
        ("Method", html.note(HOW)),
    ]
    if missing := _left_out(audit):
        sections.append(("Left out", html.points([f"{name}: {why}" for name, why in missing.items()])))
    width, height = audit.size
    introduction = f"{audit.config['data']}, {width} x {height} pixels, {len(audit.clips)} clips."
    return html.page("How much covers of a film hide", html.paragraph(introduction), sections)
