"""One measure over many pictures, in two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True)
class Summary:
    """One measure over all pictures.

    Attributes:
        mean, deviation: over the pictures that have a value; None where none has. The deviation is the population's.
        count: how many have.
    """

    mean: float | None
    deviation: float | None
    count: int


def summarise(values: Sequence[float | None]) -> Summary:
    """Mean and deviation of the values that there are."""
    there = [value for value in values if value is not None]
    return Summary(fmean(there), pstdev(there), len(there)) if there else Summary(None, None, 0)
