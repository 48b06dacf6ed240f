"""What a redaction left, counted from the rows of its log and told in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganvas.bulk.ray_backend import Record
from ganvas.errors import PartialFailure
from ganvas.redaction.redaction_log import AuditLog

__all__ = ["Outcome", "Redacted"]


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """What a redaction left.

    Attributes:
        audit: the redaction log; later runs append to it.
        redacted: how many pictures were redacted now.
        skipped: how many an earlier run with the same settings, picture and result had redacted.
        uncovered: in how many of those redacted now there was nothing to cover.
        whole: how many of those redacted now are covered whole.
        cleared: in how many of those redacted now colors under full transparency were removed.
        tested: the class whose absence a classifier confirmed; None where nothing was tested.
    """

    audit: AuditLog
    redacted: int
    skipped: int
    uncovered: int
    whole: int = 0
    cleared: int = 0
    tested: str | None = None

    @property
    def log(self) -> Path:
        """The file of the redaction log, a JSON line a picture."""
        return self.audit.path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Those of this run, read from the log."""
        return list(self.audit.added())

    def __str__(self) -> str:
        parts = [f"{self.redacted} redacted" + (f", {self.skipped} were there already" if self.skipped else "")]
        if self.uncovered:
            parts.append(f"nothing was covered in {self.uncovered}")
        if self.whole:
            parts.append(f"{self.whole} covered whole")
        if self.cleared:
            parts.append(f"colors under full transparency removed from {self.cleared}")
        if self.tested is not None and self.redacted:
            aside = ", those covered whole aside" if self.whole else ""
            parts.append(f"tested: the classifier names {self.tested!r} in no result{aside}")
            parts.append("whether a person sees it was not tested, so look at them")
        return "; ".join([*parts, f"redaction log: {self.log}"])


@dataclass
class Outcome:
    """What has become of the files so far."""

    redacted: int = 0
    skipped: int = 0
    uncovered: int = 0
    whole: int = 0
    cleared: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def count(self, row: Record) -> None:
        """Add a row of the log."""
        self.skipped += "skipped" in row
        self.redacted += "sha256_out" in row
        self.uncovered += "region" in row and not row["region"]["boxes"]
        self.whole += "region" in row and row["region"]["whole"]
        self.cleared += row.get("cleared", 0) > 0
        if "failed" in row:
            self.failures[row["file"]] = row["failed"]

    def checked(self, audit: AuditLog, total: int, *, tested: str | None) -> Redacted:
        """Return what a redaction of `total` files left.

        Raises:
            PartialFailure: some files failed; it tells what became of the others.
        """
        redacted = Redacted(
            audit=audit, redacted=self.redacted, skipped=self.skipped, uncovered=self.uncovered, whole=self.whole,
            cleared=self.cleared, tested=tested,
        )  # fmt: skip
        if self.failures:
            raise PartialFailure(self.failures, total, done=str(redacted))
        return redacted
