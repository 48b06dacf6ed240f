"""Text made safe for a terminal: control characters in file names and in foreign data are shown, not obeyed."""

from __future__ import annotations

import re

__all__ = ["one_line", "printable"]

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1: escape sequences begin with them
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators, and what turns the direction of writing
    "\ud800-\udfff]"  # bytes of a name that are no UTF-8
)


def printable(text: str) -> str:
    r"""Return the text with its control characters as escapes, such as \x1b; newlines and tabs stay."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""As `printable`, with newlines and tabs as \n and \t: for names, which may hold them."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))
