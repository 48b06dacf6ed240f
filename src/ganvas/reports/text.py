"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from rich.console import Console
from rich.table import Table

from ganvas.reports.html import format_value

__all__ = ["Cell", "Rows", "tables_as_text"]

Cell = str | float | int | None
Rows = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
WIDTH = 150
"""Letters in a line."""


def tables_as_text(tables: Mapping[str, Rows]) -> str:
    """Each under its title: the first column to the left, the others to the right, None as a dash."""
    stream = StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=False)
    for title, (header, rows) in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index else "left")
        for row in rows:
            table.add_row(*(format_value(value) for value in row))
        console.print(table, "")
    return stream.getvalue().rstrip()
