"""Redaction log, one JSON line per file, from which an interrupted redaction resumes, and the summary of a run.

A log in the released folder identifies originals by keyed hashes, which only the owner of the key can compare. Names
are relative to their folders.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.bulk.journal import Journal, Record, hash_file, joined_hashes
from ganvas.errors import PartialFailure
from ganvas.filesystem.paths import KEY_SIZE, cache_folder, read_or_make_key
from ganvas.image.picture import Box, Picture
from ganvas.redaction.redact import Redaction
from ganvas.redaction.verifier import Verifier

__all__ = [
    "KEYED_ORIGINAL",
    "LOG",
    "ORIGINAL",
    "Outcome",
    "Redacted",
    "clear_hidden",
    "keyed_hash",
    "line_of",
    "open_log",
    "original_key",
    "relative_names",
    "verdict",
]

NAME = "redaction.key"


def keyed_hash(path: Path, key: bytes) -> str:
    """Return the HMAC-SHA256 of a file's SHA-256, in hexadecimal: without the key nobody can confirm a guess."""
    return hmac.digest(key, bytes.fromhex(hash_file(path)), "sha256").hex()


def original_key() -> bytes:
    """Return the user's key for originals, created at first use in the cache folder.

    If it cannot be stored, it is valid for this run only, and a later run redacts the pictures again.
    """
    with contextlib.suppress(OSError):
        if (key := read_or_make_key(cache_folder() / NAME)) is not None:
            return key
    return secrets.token_bytes(KEY_SIZE)


LOG = "redaction.jsonl"
ORIGINAL, KEYED_ORIGINAL = "sha256_in", "keyed_in"
"""Keys of a line that identify the original: its SHA-256, or a keyed hash if the log is in the released folder."""


def open_log(folder: Path) -> Journal:
    """Open the redaction log of a folder, a journal in which each proof joins settings, original and result."""
    return Journal(folder / LOG, name_key="file", proof_of=_proof)


def _proof(line: Record) -> bytes | None:
    original = KEYED_ORIGINAL if KEYED_ORIGINAL in line else ORIGINAL
    return None if "failed" in line else joined_hashes(line, "settings", original, "sha256_out")


def line_of(
    redaction: Redaction,
    verifier: Verifier | None,
    *,
    classifier: str | None,
    is_cosmetic: bool,
    detect: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the log entry of a covered picture."""
    boxes = [_edges(box) for box in redaction.boxes]
    before, after = redaction.score_before, redaction.score_after
    return {
        "region": {"boxes": boxes, "share": round(float(redaction.region.mean()), 6), "whole": redaction.whole},
        "style": redaction.style,
        "cosmetic": redaction.style != "solid" and is_cosmetic,
        "widened": redaction.widened,
        "classifier": classifier and (Path(classifier).name if Path(classifier).suffix else classifier),
        "class": verifier.class_name if verifier else None,
        "coverage": verifier.coverage if verifier else None,
        "score_before": before.as_record() if before else None,
        "score_after": after.as_record() if after else None,
        "detections": [
            {"label": one.label, "score": round(one.score, 4), "box": _edges(one.box)} for one in redaction.detections
        ],
        "verdict": verdict(redaction, verifier, detect),
    }


def _edges(box: Box) -> list[int]:
    return [box.left, box.top, box.right, box.bottom]


def verdict(redaction: Redaction, verifier: Verifier | None, detect: Sequence[str] = ()) -> str:
    """Return a sentence on exactly what was verified about a picture."""
    covers = bool(redaction.region.any())
    if detect and verifier is None:
        what = ", ".join(detect)
        result = f"{what}: no more detections" if covers else f"{what}: no detections, nothing is covered"
        if redaction.whole:
            result = "the whole picture is covered"
        return f"{result}; recognition by people was not tested"
    if verifier is None or redaction.score_after is None or redaction.score_before is None:
        return f"{'the given region is covered' if covers else 'nothing is covered'}; nothing was verified"
    named = repr(verifier.class_name)
    if not verifier.passes(redaction.score_after):
        return f"the whole picture is covered; the classifier recognized {named} until then"
    if covers:
        return f"the classifier no longer recognizes {named}; recognition by people was not tested"
    return f"the classifier does not recognize {named}; nothing was covered"


def clear_hidden(picture: Picture) -> tuple[Picture, int]:
    """Remove the colors of fully transparent pixels; return the picture and the number of such pixels.

    The displayed picture does not change, but hidden colors would be released.
    """
    if picture.alpha is None:
        return picture, 0
    hidden = (picture.alpha[:, :, 0] == 0) & (picture.color != 0).any(axis=2)
    if not hidden.any():
        return picture, 0
    pixels = picture.pixels.copy()
    pixels[hidden] = 0
    return Picture(pixels, has_alpha=True, source=picture.source), int(np.count_nonzero(hidden))


def relative_names(problem: str, folders: Iterable[Path]) -> str:
    """Return a message with the folders removed from the names in it, for a log that may be released."""
    spellings = {f"{spelling}/" for folder in folders for spelling in (folder, folder.absolute(), folder.resolve())}
    for spelling in sorted(spellings - {"./", "//"}, key=len, reverse=True):
        problem = problem.replace(spelling, "")
    return problem


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """Result of a redaction.

    Attributes:
        log_file: the redaction log; later runs append to it.
        redacted: number of files redacted by this run.
        skipped: number of files that an earlier run with the same settings, picture and result has redacted.
        uncovered: number of redacted files in which nothing was covered.
        whole: number of redacted files that are covered completely.
        cleared: number of redacted files from which colors under full transparency were removed.
        tested: class whose absence a classifier confirmed; None if nothing was verified.
    """

    log_file: Journal
    redacted: int
    skipped: int
    uncovered: int
    whole: int = 0
    cleared: int = 0
    tested: str | None = None

    @property
    def log(self) -> Path:
        """File of the redaction log, one JSON line per file."""
        return self.log_file.path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Lines of this run, read from the log."""
        return list(self.log_file.added())

    def __str__(self) -> str:
        parts = [f"{self.redacted} redacted" + (f", {self.skipped} already redacted" if self.skipped else "")]
        if self.uncovered:
            parts.append(f"nothing was covered in {self.uncovered}")
        if self.whole:
            parts.append(f"{self.whole} covered completely")
        if self.cleared:
            parts.append(f"colors under full transparency removed from {self.cleared}")
        if self.tested is not None and self.redacted:
            aside = ", apart from completely covered ones" if self.whole else ""
            parts.append(f"verified: the classifier recognizes {self.tested!r} in no result{aside}")
            parts.append("recognition by people was not tested, so look at the results")
        return "; ".join([*parts, f"redaction log: {self.log}"])


@dataclass
class Outcome:
    """Running totals of a redaction."""

    redacted: int = 0
    skipped: int = 0
    uncovered: int = 0
    whole: int = 0
    cleared: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def count(self, name: str, row: Record | None) -> None:
        """Add a line of the log; None for a file that an earlier run redacted."""
        if row is None:
            self.skipped += 1
            return
        self.redacted += "sha256_out" in row
        self.uncovered += "region" in row and not row["region"]["boxes"]
        self.whole += "region" in row and row["region"]["whole"]
        self.cleared += row.get("cleared", 0) > 0
        if "failed" in row:
            self.failures[name] = row["failed"]

    def checked(self, log_file: Journal, total: int, *, tested: str | None) -> Redacted:
        """Return the result of a redaction of `total` files.

        Raises:
            PartialFailure: some files failed; the message summarizes the others.
        """
        redacted = Redacted(
            log_file=log_file, redacted=self.redacted, skipped=self.skipped, uncovered=self.uncovered, whole=self.whole,
            cleared=self.cleared, tested=tested,
        )  # fmt: skip
        if self.failures:
            raise PartialFailure(self.failures, total, done=str(redacted))
        return redacted
