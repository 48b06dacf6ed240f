"""What the redaction log says about a picture: names relative to their folders, and what was tested in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.image.picture import Picture
from ganvas.redaction.redact import Redaction
from ganvas.redaction.verifier import Judge

__all__ = ["clear_hidden", "line_of", "relative_names", "verdict"]


def line_of(redaction: Redaction, judge: Judge | None, *, classifier: str | None, is_cosmetic: bool) -> dict[str, Any]:
    """Return what the log says about a covered picture."""
    boxes = [[box.left, box.top, box.right, box.bottom] for box in redaction.boxes]
    before, after = redaction.score_before, redaction.score_after
    return {
        "region": {"boxes": boxes, "share": round(float(redaction.region.mean()), 6), "whole": redaction.whole},
        "style": redaction.style,
        "cosmetic": redaction.style != "solid" and is_cosmetic,
        "widened": redaction.widened,
        "classifier": classifier and (Path(classifier).name if Path(classifier).suffix else classifier),
        "class": judge.class_name if judge else None,
        "coverage": judge.coverage if judge else None,
        "score_before": before.as_record() if before else None,
        "score_after": after.as_record() if after else None,
        "verdict": verdict(redaction, judge),
    }


def verdict(redaction: Redaction, judge: Judge | None) -> str:
    """Return in words what is known of a picture, and no more."""
    if judge is None or redaction.score_after is None or redaction.score_before is None:
        return "the given region is covered; nothing was tested"
    named = repr(judge.class_name)
    if not judge.passes(redaction.score_after):
        return f"the whole picture is covered; the classifier named {named} to the end"
    if redaction.region.any():
        return f"the classifier no longer names {named}; whether a person sees it was not tested"
    return f"the classifier does not name {named}; nothing was covered"


def clear_hidden(picture: Picture) -> tuple[Picture, int]:
    """Return a picture whose fully transparent pixels hold no color, and how many held some.

    Nothing that a viewer shows changes; what lay there would be released unseen.
    """
    if picture.alpha is None:
        return picture, 0
    hidden = (picture.alpha[:, :, 0] == 0) & (picture.colour != 0).any(axis=2)
    if not hidden.any():
        return picture, 0
    pixels = picture.pixels.copy()
    pixels[hidden] = 0
    return Picture(pixels, has_alpha=True, source=picture.source), int(np.count_nonzero(hidden))


def relative_names(problem: str, folders: Iterable[Path]) -> str:
    """Return a message without the folders before the names in it, longest first, for a log that may be released."""
    spellings = {f"{spelling}/" for folder in folders for spelling in (folder, folder.absolute(), folder.resolve())}
    for spelling in sorted(spellings - {"./", "//"}, key=len, reverse=True):
        problem = problem.replace(spelling, "")
    return problem
