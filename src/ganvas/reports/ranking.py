"""Ranking of the pictures of a report, the worst first, and the selection of pictures to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganvas.reports.html import heading, links

__all__ = ["Ranking", "worst_first"]

WORST, MEDIAN, BEST = "worst", "median", "best"


def worst_first(values: Mapping[str, float | None]) -> list[str]:
    """Return the names by rising value; None, the infinite PSNR of equal pictures, comes last."""
    return sorted(values, key=lambda name: (values[name] is None, values[name] or 0.0))


@dataclass(frozen=True)
class Ranking:
    """Names in order, and those that are shown: all, or the worst, those about the median, and the best.

    Attributes:
        names: all of them, the worst first.
        limit: largest number of pictures to show, 3 or more.
        by: name of the metric that orders them, for the headings.
    """

    names: Sequence[str]
    limit: int
    by: str = "PSNR"

    @property
    def shown(self) -> list[str]:
        """Return the names that are shown, in the order of the page."""
        return [name for _, _, names in self._slices() for name in names]

    def parts(self) -> list[tuple[str, Sequence[str], dict[str, str]]]:
        """Return the parts of the page: heading as HTML, names, and name -> id of its row."""
        if len(self.names) > self.limit:
            return [(heading(title, key), names, {}) for key, title, names in self._slices()]
        return [("", self.names, self._places() if len(self.names) > 2 else {})]

    def links(self) -> str:
        """Return links to the worst, the median and the best picture; empty for one or two."""
        if len(self.names) < 3:
            return ""
        return links({f"{key.capitalize()} by {self.by}": key for key in (WORST, MEDIAN, BEST)})

    def describe(self) -> str:
        """Describe the shown pictures in a sentence."""
        total = len(self.names)
        if total <= self.limit:
            return f"All {total} pictures, the lowest {self.by} first." if total > 1 else "The picture."
        counts = {key: len(names) for key, _, names in self._slices()}
        return (
            f"{self.limit} of {total:,} pictures: the {counts[WORST]} with the lowest {self.by}, the worst first, "
            f"{counts[MEDIAN]} about the median, and the {counts[BEST]} best."
        )

    def _places(self) -> dict[str, str]:
        return {self.names[0]: WORST, self.names[self._middle]: MEDIAN, self.names[-1]: BEST}

    @property
    def _middle(self) -> int:
        return (len(self.names) - 1) // 2

    def _slices(self) -> list[tuple[str, str, Sequence[str]]]:
        """Return (id, heading, names) of each part."""
        total = len(self.names)
        if total <= self.limit:
            return [(WORST, "", self.names)]
        num_median, num_best = max(self.limit // 4, 1), max(self.limit // 4, 1)
        num_worst = self.limit - num_median - num_best
        # With only a few more pictures than are shown, the parts are adjacent and must not overlap.
        start = min(max(self._middle - num_median // 2, num_worst), total - num_best - num_median)
        median = self.names[start : start + num_median]
        return [
            (WORST, f"Worst: 1 to {num_worst} of {total:,}", self.names[:num_worst]),
            (MEDIAN, f"About the median: {start + 1:,} to {start + num_median:,} of {total:,}", median),
            (BEST, f"Best: {total - num_best + 1:,} to {total:,} of {total:,}", self.names[-num_best:]),
        ]
