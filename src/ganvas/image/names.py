"""Matching of file names that differ in Unicode normalization only.

macOS hands out names decomposed (NFD: e + combining acute), most programs write them composed (NFC: one letter), and
the two look alike on every screen. So names that belong together, of pairs, masks, boxes and split files, are compared
in one form. Files keep the names that they have.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

__all__ = ["match_names", "name_key"]


def name_key(name: str) -> str:
    """Return the form by which names are compared: NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def match_names(given: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return for each name given the one of `names` that it means.

    That is the same name where it is among them, else the only one that has the same normal form, else itself.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name_key(name)].append(name)
    return {name: _meant(name, alike[name_key(name)]) for name in given}


def _meant(name: str, alike: list[str]) -> str:
    return alike[0] if len(alike) == 1 else name
