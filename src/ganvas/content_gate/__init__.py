"""Content gate: scores every picture that enters or leaves a model with Open NSFW and refuses high scores."""

from ganvas.content_gate.gate import (
    THRESHOLD,
    AdmittedPicture,
    admit,
    admit_many,
    as_sheet,
    check_share,
    describe_refusals,
    forget_scorer,
    loading_scorer,
    write_synthetic,
    write_synthetic_segment,
)

__all__ = [
    "THRESHOLD",
    "AdmittedPicture",
    "admit",
    "admit_many",
    "as_sheet",
    "check_share",
    "describe_refusals",
    "forget_scorer",
    "loading_scorer",
    "write_synthetic",
    "write_synthetic_segment",
]
