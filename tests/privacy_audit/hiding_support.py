"""Helpers for the tests of verdicts."""

from __future__ import annotations

from typing import Literal

from ganvas.image.cover import Cover
from ganvas.metrics.fidelity import Summary
from ganvas.privacy_audit.album import PlannedCover
from ganvas.privacy_audit.attacks import AS_COVERED, AuditedCover, Reidentified


def audited_cover(style: Literal["mosaic", "blur"], strength: float, retrained: int) -> AuditedCover:
    plan = PlannedCover(name=f"{style} {strength}", style=style, strength=strength, cover=Cover(style=style))
    recovered = {way: {"psnr": Summary(value, 0.0, 4)} for way, value in ((AS_COVERED, 20.0), ("bicubic", 22.0))}
    return AuditedCover(plan=plan, recovered=recovered, named=(Reidentified("linear", 10, retrained),), shown={})
