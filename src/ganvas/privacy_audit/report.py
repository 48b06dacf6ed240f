"""Result of a privacy audit: its verdicts, tables, JSON record, HTML report and picture grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.content_gate import as_sheet, write_synthetic
from ganvas.errors import PartialFailure
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.metrics.fidelity import Summary
from ganvas.privacy_audit.attacks import AS_COVERED, AuditedCover, interval
from ganvas.reports import html
from ganvas.reports.chart import Point, line_chart
from ganvas.reports.html import Cell, Rows, tables_as_text

LITTLE, SOME = 0.75, 0.25
"""Thresholds of the kept share: above the first a cover hides little, above the second in part."""
HIDDEN = 0.25
"""Largest upper confidence limit of the kept share at which a cover hides the kind."""
JSON_NAME, HTML_NAME, GRID_NAME = "audit.json", "report.html", "grid.png"
TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS"}


@dataclass(kw_only=True)
class Audit:
    """Result of a privacy audit.

    Attributes:
        out: the folder written.
        config: the settings, for the record.
        kinds: their names.
        counts: numbers of training and test pictures.
        chance: accuracy of guessing.
        clean: attacker -> number of uncovered test pictures classified correctly.
        covers: results in the order of the covers.
        left_out: picture -> reason why it was not usable.
    """

    out: Path
    config: dict[str, Any]
    kinds: tuple[str, ...]
    counts: tuple[int, int]
    chance: float
    clean: dict[str, int]
    covers: list[AuditedCover] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return the exit code of a partial failure if pictures were not usable, else 0."""
        return PartialFailure.exit_code if self.left_out else 0

    def share(self, right: int) -> float:
        """Return the share of the test pictures."""
        return right / self.counts[1]

    def kept(self, cover: AuditedCover) -> float:
        """Return the share of the recognizability that is kept: 0 at chance level, 1 as for uncovered pictures."""
        return self._kept_of(self.share(cover.retrained))

    def kept_between(self, cover: AuditedCover) -> tuple[float, float]:
        """Return `kept` at the ends of the better attacker's interval."""
        low, high = interval(cover.retrained, self.counts[1])
        return self._kept_of(low), self._kept_of(high)

    def _kept_of(self, share: float) -> float:
        clear = self.share(max(self.clean.values())) - self.chance
        return float(np.clip((share - self.chance) / max(clear, 1e-9), 0, 1))

    @property
    def clear_are_named(self) -> bool:
        """Whether an attacker is better than guessing on uncovered pictures; otherwise no cover has a verdict."""
        return interval(max(self.clean.values()), self.counts[1])[0] > self.chance

    def at_chance(self, cover: AuditedCover) -> bool:
        """Whether the better attacker is not significantly better than guessing; with few pictures this says little."""
        return interval(cover.retrained, self.counts[1])[0] <= self.chance

    def hides(self, cover: AuditedCover) -> bool:
        """Whether the test pictures suffice to conclude that the better attacker is little better than guessing."""
        return self.clear_are_named and self.at_chance(cover) and self.kept_between(cover)[1] <= HIDDEN

    def undecided(self, cover: AuditedCover) -> bool:
        """Whether the test pictures do not suffice to decide."""
        return self.at_chance(cover) and not self.hides(cover)

    def verdict(self, cover: AuditedCover) -> str:
        """Describe one cover in a sentence or two."""
        said = f"{cover.plan.name}: {self._finding(cover)}"
        said += f" {percent(self.share(cover.retrained))} of the pictures are still named rightly"
        said += f" (clear {percent(self.share(max(self.clean.values())))}, guessing {percent(self.chance)})."
        if cover.gain is not None and cover.gain[1] >= 0.05:
            said += f" {cover.gain[0].capitalize()} comes {cover.gain[1]:.1f} dB nearer to the truth than the cover."
        return said

    def _finding(self, cover: AuditedCover) -> str:
        if not self.clear_are_named:
            return "no verdict, since these attackers do not name clear pictures either."
        if self.hides(cover):
            return "hides the kind from these attackers."
        if self.undecided(cover):
            return f"undecided with {self.counts[1]:,} test pictures."
        kept = self.kept(cover)
        return "hides little." if kept > LITTLE else "hides in part." if kept > SOME else "hides most."

    def conclusion(self) -> str:
        """Summarize all covers in words."""
        if not self.clear_are_named:
            return (
                "These attackers are no better than guessing even on uncovered pictures, so no verdict on any "
                "cover can be given: audit more pictures of each kind, or kinds that differ more."
            )
        return (
            f"{self._summary()} An attacker with more pictures, a larger network or knowledge of the place does "
            "better, so these figures say how much shows at least, never how much at most. By construction, only a "
            "solid cover keeps no pixel."
        )

    def _summary(self) -> str:
        """List the covers that hide the kind, and the undecided ones."""
        hidden = "; ".join(cover.plan.name for cover in self.covers if self.hides(cover))
        undecided = "; ".join(cover.plan.name for cover in self.covers if self.undecided(cover))
        if undecided:
            held = f"{hidden} left these attackers guessing. " if hidden else ""
            few = f"With {self.counts[1]:,} test pictures it is undecided what these hide: {undecided}."
            return f"{held}{few} Audit more of each kind."
        if not hidden:
            return "No cover that was tried left these attackers guessing."
        if all(self.hides(cover) for cover in self.covers):
            return "Every cover that was tried left these attackers guessing."
        return f"Only {hidden} left these attackers guessing."

    def as_record(self) -> dict[str, Any]:
        """Return the audit as JSON."""
        return {
            "terms": self.config,
            "kinds": list(self.kinds),
            "pictures": {"train": self.counts[0], "test": self.counts[1]},
            "chance": self.chance,
            "clear": {name: self.share(right) for name, right in self.clean.items()},
            "covers": [self._record_of(cover) for cover in self.covers],
            "conclusion": self.conclusion(),
            "left_out": self.left_out,
        }

    def _record_of(self, cover: AuditedCover) -> dict[str, Any]:
        recovered = {
            way: {name: vars(summary) for name, summary in measures.items()}
            for way, measures in cover.recovered.items()
        }
        named = {
            one.attacker: {
                "untrained": self.share(one.untrained),
                "retrained": self.share(one.retrained),
                "interval": interval(one.retrained, self.counts[1]),
            }
            for one in cover.named
        }
        plan = cover.plan
        return {
            "name": plan.name,
            "style": plan.style,
            "strength": plan.strength,
            "recovered": recovered,
            "refused": cover.refused,
            "named": named,
            "kept": self.kept(cover),
            "kept_between": self.kept_between(cover),
            "at_chance": self.at_chance(cover),
            "hidden": self.hides(cover),
            "verdict": self.verdict(cover),
        }

    def __str__(self) -> str:
        return as_text(self)


def percent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{100 * share:.0f}\u00a0%"


def as_text(audit: Audit) -> str:
    """Return the tables for the terminal, the verdicts and the path of the report."""
    verdicts = [audit.verdict(cover) for cover in audit.covers]
    failed = [f"left out: {name}: {why}" for name, why in left_out(audit).items()]
    return "\n".join(
        [tables_as_text(tables(audit)), *verdicts, audit.conclusion(), *failed, f"Report: {audit.out / HTML_NAME}"]
    )


def left_out(audit: Audit) -> dict[str, str]:
    """Return the pictures that could not be used, and the attackers' guesses that the content gate refuses."""
    guesses = {f"{cover.plan.name}: {name}": why for cover in audit.covers for name, why in cover.refused.items()}
    return audit.left_out | guesses


def tables(audit: Audit) -> dict[str, Rows]:
    """Return title -> header and rows."""
    return {"Who still names the kind": _naming(audit), "What attacks recover": _recovery(audit)}


def _naming(audit: Audit) -> Rows:
    names = list(audit.clean)
    header = ["", *(f"{state}: {name}" for name in names for state in ("untrained", "retrained")), "95 %", "kept"]
    clear: list[Cell] = ["clear"]
    for name in names:
        clear += [None, percent(audit.share(audit.clean[name]))]
    rows: list[list[Cell]] = [[*clear, _interval(audit, max(audit.clean.values())), None]]
    for cover in audit.covers:
        row: list[Cell] = [cover.plan.name]
        for one in cover.named:
            row += [percent(audit.share(one.untrained)), percent(audit.share(one.retrained))]
        rows.append([*row, _interval(audit, cover.retrained), percent(audit.kept(cover))])
    return header, [*rows, ["guessing", *[percent(audit.chance)] * (2 * len(names)), None, None]]


def _interval(audit: Audit, right: int) -> str:
    low, high = interval(right, audit.counts[1])
    return f"{100 * low:.0f} to {percent(high)}"


def _recovery(audit: Audit) -> Rows:
    rows: list[list[Cell]] = []
    for cover in audit.covers:
        for way, measures in cover.recovered.items():
            values = [_format(measures.get(name)) for name in TITLES]
            rows.append([f"{cover.plan.name}: {way}", *values])
    return ["", *TITLES.values()], rows


def _format(summary: Summary | None) -> Cell:
    return None if summary is None else summary.mean


SHOWN_SIDE = 96
"""Side in pixels to which smaller pictures are enlarged in the grid, by an integer factor."""
CHART = "Test pictures whose kind an attacker names correctly"
AXES = {"mosaic": "blocks across the picture", "blur": "sigma (pixels)"}
HOW = (
    "Retrained attackers learned from pictures covered alike, untrained ones from clear pictures alone; both were "
    "tested on pictures that neither had seen. Linear: logistic regression on the features of EfficientNet-lite0, "
    "which knows ImageNet. Network: a small convolutional one trained from scratch. The better of the two counts; it "
    "was chosen on the test pictures, which flatters it a little. Intervals are Wilson's, 95 %. Bicubic interpolates "
    "between the means of the blocks; Wiener's filter knows the kernel, and its noise was chosen on training pictures. "
    "PSNR and SSIM: more is nearer to the truth; LPIPS: less is."
)
SYNTHETIC = "What a restorer adds is invented: it looks like the truth where pictures are alike, and proves nothing."


def write_reports(audit: Audit) -> None:
    """Write the JSON, the grid and the report, replacing earlier ones."""
    audit.out.mkdir(parents=True, exist_ok=True)
    write_json(audit.out / JSON_NAME, audit.as_record())
    labels, rows, captions = grid_of(audit)
    if rows:
        label = SyntheticLabel(
            software=f"ganvas {version('ganvas')}",
            model="attacks on covered pictures",
            note="Columns right of the covered pictures are guesses; their detail is not recovered evidence.",
        )
        scale = max(SHOWN_SIDE // audit.config["size"], 1)
        grid = make_grid(rows, captions=captions, row_labels=labels, scale=scale)
        shown = [one for cover in audit.covers for made in cover.shown.values() for one in made.values()]
        write_synthetic(audit.out / GRID_NAME, as_sheet(Picture(grid), shown, name=GRID_NAME), label)
    write_text(audit.out / HTML_NAME, as_html(audit))


def as_html(audit: Audit) -> str:
    """Return the whole report as one HTML page."""
    verdicts = "".join(html.paragraph(audit.verdict(cover)) for cover in audit.covers)
    sections = [("What it hides", verdicts + html.paragraph(audit.conclusion()))]
    sections += [(f"Recognition by {AXES[style]}", line_chart(lines, AXES[style], "named correctly (%)", title=CHART))
                 for style, lines in lines_of(audit).items()]  # fmt: skip
    sections += [(title, html.table(header, rows)) for title, (header, rows) in tables(audit).items()]
    labels, rows, captions = grid_of(audit)
    pictures = html.paragraph("Select a picture to see it large.") + html.note(SYNTHETIC)
    sections.append(("Pictures", pictures + html.picture_grid(rows, captions, labels, lossy=True)))
    sections.append(("How it was measured", html.note(HOW)))
    if left_out(audit):
        rows_left_out: list[list[Cell]] = [[name, why] for name, why in left_out(audit).items()]
        sections.append(("Left out", html.table(["", "why"], rows_left_out)))
    return html.page("How much a cover hides", html.paragraph(introduction(audit)), sections)


def introduction(audit: Audit) -> str:
    """Describe the audited pictures."""
    train, test = audit.counts
    return (
        f"Pictures of {audit.config['data']}, {len(audit.kinds)} kinds, {audit.config['size']} pixels a side: the "
        f"attackers learned from {train:,} and were tested on {test:,}. Guessing names {percent(audit.chance)} rightly."
    )


def lines_of(audit: Audit) -> dict[str, dict[str, list[Point]]]:
    """Return style -> line -> points, for styles with more than one strength."""
    found: dict[str, dict[str, list[Point]]] = {}
    for style in AXES:
        covers = sorted((one for one in audit.covers if one.plan.style == style), key=lambda one: one.plan.strength)
        if len(covers) > 1:
            found[style] = _lines(audit, covers)
    return found


def _lines(audit: Audit, covers: list[AuditedCover]) -> dict[str, list[Point]]:
    clear = audit.share(max(audit.clean.values()))
    levels = {
        "clear": [clear] * len(covers),
        "retrained": [audit.share(cover.retrained) for cover in covers],
        "untrained": [audit.share(cover.untrained) for cover in covers],
        "guessing": [audit.chance] * len(covers),
    }
    strengths = [cover.plan.strength for cover in covers]
    return {
        name: [(x, 100 * share) for x, share in zip(strengths, shares, strict=True)] for name, shares in levels.items()
    }


def grid_of(audit: Audit) -> tuple[list[str], list[list[Picture | None]], list[str]]:
    """Return labels, rows and captions; the columns common to all covers come first."""
    ways = list(dict.fromkeys(way for cover in audit.covers for made in cover.shown.values() for way in made))
    captions = sorted(ways, key=lambda way: (way != "original", way != AS_COVERED))
    labels, rows = list[str](), list[list[Picture | None]]()
    for cover in audit.covers:
        for name, made in cover.shown.items():
            labels.append(f"{cover.plan.name}: {name}")
            rows.append([made[way].picture if way in made else None for way in captions])
    return labels, rows, captions
