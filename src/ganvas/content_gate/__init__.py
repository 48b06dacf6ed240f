"""Content gate: Open NSFW scores every picture that enters or leaves a model; above the threshold it is refused."""

from ganvas.content_gate.gate import (
    THRESHOLD,
    admit,
    admit_all,
    admit_many,
    check_share,
    describe_refusals,
    forget_scorer,
    loading_scorer,
)

__all__ = [
    "THRESHOLD",
    "admit",
    "admit_all",
    "admit_many",
    "check_share",
    "describe_refusals",
    "forget_scorer",
    "loading_scorer",
]
