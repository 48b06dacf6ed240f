"""Result of a privacy audit: its verdicts, tables, text and JSON record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.errors import PartialFailure
from ganvas.metrics.fidelity import Summary
from ganvas.privacy_audit.attacks import AuditedCover, interval
from ganvas.reports.tables import Cell, Rows, tables_as_text

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
        out: the output folder.
        config: the settings, for the record.
        kinds: names of the kinds.
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
        """Convert a count to a share of the test pictures."""
        return right / self.counts[1]

    def kept(self, cover: AuditedCover) -> float:
        """Return *kept*, the preserved recognizability: 0 at chance level, 1 as for uncovered pictures."""
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
        """Whether the better attacker is not significantly better than guessing; weak evidence with few pictures."""
        return interval(cover.retrained, self.counts[1])[0] <= self.chance

    def hides(self, cover: AuditedCover) -> bool:
        """Whether the test pictures show that the better attacker is hardly better than guessing."""
        return self.clear_are_named and self.at_chance(cover) and self.kept_between(cover)[1] <= HIDDEN

    def undecided(self, cover: AuditedCover) -> bool:
        """Whether there are too few test pictures to decide."""
        return self.at_chance(cover) and not self.hides(cover)

    def verdict(self, cover: AuditedCover) -> str:
        """Describe the result for a cover in one or two sentences."""
        said = f"{cover.plan.name}: {self._finding(cover)}"
        said += f" {percent(self.share(cover.retrained))} of the pictures are still recognized"
        said += f" (clear {percent(self.share(max(self.clean.values())))}, guessing {percent(self.chance)})."
        if cover.gain is not None and cover.gain[1] >= 0.05:
            said += f" {cover.gain[0].capitalize()} comes {cover.gain[1]:.1f} dB nearer to the original than the cover."
        return said

    def _finding(self, cover: AuditedCover) -> str:
        if not self.clear_are_named:
            return "no verdict, because these attackers do not recognize clear pictures either."
        if self.hides(cover):
            return "hides the kind from these attackers."
        if self.undecided(cover):
            return f"undecided with {self.counts[1]:,} test pictures."
        kept = self.kept(cover)
        return "hides little." if kept > LITTLE else "hides in part." if kept > SOME else "hides most."

    def conclusion(self) -> str:
        """Summarize the results of all covers as text."""
        if not self.clear_are_named:
            return (
                "These attackers are no better than guessing even on uncovered pictures, so no verdict on any "
                "cover can be given: use more pictures of each kind, or kinds that differ more."
            )
        return (
            f"{self._summary()} An attacker with more pictures, a larger network or knowledge of the scene performs "
            "better, so these figures are a lower bound on what covers reveal. By construction, only a solid cover "
            "preserves no pixel."
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
    failed = [f"excluded: {name}: {why}" for name, why in left_out(audit).items()]
    return "\n".join(
        [tables_as_text(tables(audit)), *verdicts, audit.conclusion(), *failed, f"Report: {audit.out / HTML_NAME}"]
    )


def left_out(audit: Audit) -> dict[str, str]:
    """Return the pictures that could not be used, and the reconstructions that the content gate refuses."""
    guesses = {f"{cover.plan.name}: {name}": why for cover in audit.covers for name, why in cover.refused.items()}
    return audit.left_out | guesses


def tables(audit: Audit) -> dict[str, Rows]:
    """Return title -> header and rows."""
    return {"Recognition of the kind": _recognition(audit), "Reconstruction by attacks": _reconstruction(audit)}


def _recognition(audit: Audit) -> Rows:
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


def _reconstruction(audit: Audit) -> Rows:
    rows: list[list[Cell]] = []
    for cover in audit.covers:
        for way, measures in cover.recovered.items():
            values = [_format(measures.get(name)) for name in TITLES]
            rows.append([f"{cover.plan.name}: {way}", *values])
    return ["", *TITLES.values()], rows


def _format(summary: Summary | None) -> Cell:
    return None if summary is None else summary.mean
