"""Cover audit of the studio: a small privacy audit on handwritten digits, measured once and cached.

Beside each style, the page shows how often a classifier that was trained on such covers still recognizes the covered
digit. The digits are those of scikit-learn (extra `demo`): ten kinds that a small network learns in seconds, as an
example of a small number of kinds of which an attacker has pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ganvas import api
from ganvas.bulk.journal import hash_settings
from ganvas.errors import MissingDependency
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.progress import Progress
from ganvas.serialization import read_json
from ganvas.studio.redaction import Strength

__all__ = ["CoverAuditTask", "known_cover_audit"]

SIDE = 32
"""Side of a digit in pixels."""
LONGER = 96
"""Longer side of the region in pixels to which the sigma of a blur is assumed to apply."""
STEPS = 250
"""Training steps of the attacker's network."""
EVERY = 6
"""Every n-th digit is used: 300, a quarter of them for testing."""
KEPT = "studio-cover-audit"
"""Name of the folder of results inside the cache folder."""


@dataclass(frozen=True, kw_only=True)
class CoverAuditTask:
    """Measurement of one style and strength."""

    strength: Strength
    folder: Path

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return share, interval, chance and a sentence, from the cache if possible.

        Raises:
            MissingDependency: scikit-learn is not installed.
        """
        if (known := known_cover_audit(self.strength)) is not None:
            return known
        _write_digits(self.folder / "digits")
        progress.check()
        cover = self.strength.cover
        audit = api.audit(
            self.folder / "digits", out=self.folder / "audit", style=(self.strength.style,),
            blocks=(cover.blocks or 4,), sigmas=(_relative_sigma(self.strength),), size=SIDE, steps=STEPS, device="cpu",
        )  # fmt: skip
        record = audit.as_record()
        (found,) = record["covers"]
        share = max(one["retrained"] for one in found["named"].values())
        low, high = max((one["interval"] for one in found["named"].values()), key=sum)
        result = {
            "share": share, "low": low, "high": high, "chance": record["chance"], "pictures": record["pictures"],
            "verdict": found["verdict"],
            "text": f"recognizable in {100 * share:.0f} % of cases (guessing: {100 * record['chance']:.0f} %)",
        }  # fmt: skip
        write_json(_kept(self.strength), result)
        return result


def known_cover_audit(strength: Strength) -> dict[str, Any] | None:
    """Return the cached results of a style and strength of this version, or None."""
    path = _kept(strength)
    try:
        record: dict[str, Any] = read_json(path)
    except (OSError, ValueError):
        return None
    return record


def _kept(strength: Strength) -> Path:
    blocks = strength.blocks or 4 if strength.style == "mosaic" else None
    sigma = _relative_sigma(strength) if strength.style == "blur" else None
    key = hash_settings([version("ganvas"), strength.style, blocks, sigma, SIDE, STEPS])
    return cache_folder() / KEPT / f"{key[:32]}.json"


def _relative_sigma(strength: Strength) -> float:
    """Return the standard deviation on a digit that corresponds to one on a region of `LONGER` pixels."""
    return round(strength.cover.blur_sigma(LONGER) * SIDE / LONGER, 3)


def _write_digits(folder: Path) -> None:
    """Write the digits of scikit-learn, one folder for each kind."""
    try:
        from sklearn.datasets import load_digits  # optional dependency
    except ImportError as error:
        raise MissingDependency("scikit-learn", "demo", "measuring how much a cover hides") from error
    digits = load_digits()
    for number, (image, kind) in enumerate(zip(digits.images[::EVERY], digits.target[::EVERY], strict=True)):
        large = np.kron(image / 16 * 255, np.ones((SIDE // 8, SIDE // 8))).round().astype(np.uint8)
        write_image(folder / str(kind) / f"{number:04d}.png", Picture(large[:, :, None]))
