"""Refusals of the content gate counted over a data set: when they refuse the whole of it, and what a message says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ganvas.errors import PolicyRefusal

LARGEST_REFUSED_SHARE: Final = 0.05
"""A data set of which a larger share is refused is not an accident: the whole set is refused."""
LEAST_PICTURES: Final = 20
LEAST_REFUSALS: Final = 3
"""The share counts from so many pictures or so many refusals on: below both, a single false refusal exceeds it."""
NUM_NAMED = 3
"""Refused pictures that a message names with their reasons."""


def check_share(refusals: Sequence[PolicyRefusal], total: int) -> None:
    """Refuse a whole data set where the gate refuses too many of its pictures.

    The rule is about pictures that a user gives. What a model makes of them is refused picture by picture, left out and
    listed: a blurry output of a model is no sign of a bad data set.

    Args:
        refusals: one for each refused picture.
        total: pictures in the data set, the refused ones included.

    Raises:
        PolicyRefusal: every picture is refused, or more than LARGEST_REFUSED_SHARE of them where there are at least
            LEAST_PICTURES pictures or LEAST_REFUSALS refusals.
    """
    refused = len(refusals)
    counts = total >= LEAST_PICTURES or refused >= LEAST_REFUSALS
    too_many = counts and refused > LARGEST_REFUSED_SHARE * total
    if refused and (too_many or refused == total):
        limit = f", more than {LARGEST_REFUSED_SHARE:.0%}" if refused < total else ""
        raise PolicyRefusal("the data set", f"the content gate refuses {describe_refusals(refusals, total)}{limit}")


def describe_refusals(refusals: Sequence[PolicyRefusal], total: int, *, what: str = "pictures") -> str:
    """Return how many of how many are refused, and the first few by name with the reason of each."""
    named = [f"{refusal.name}: {refusal.reason}" for refusal in refusals[:NUM_NAMED]]
    more = [f"and {len(refusals) - NUM_NAMED} more"] if len(refusals) > NUM_NAMED else []
    return f"{len(refusals)} of {total} {what} ({'; '.join(named + more)})"
