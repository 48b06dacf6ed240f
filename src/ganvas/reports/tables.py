"""Tables of numbers, formatted for the terminal and the page, and as CSV files for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

__all__ = [
    "EN_DASH",
    "MINUS",
    "Cell",
    "Rows",
    "format_value",
    "mean_and_deviation",
    "rows_as_csv",
    "tables_as_text",
]

Cell = str | float | int | None
Rows = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
WIDTH = 150
"""Characters per line."""
EN_DASH, MINUS = "\u2013", "\u2212"


def mean_and_deviation(mean: float | None, deviation: float | None) -> str | None:
    """Return "mean ± deviation" with the digits of the mean, or None without a mean."""
    if mean is None or deviation is None:
        return None
    return f"{format_value(mean)} ± {format_value(deviation, like=mean)}"


def tables_as_text(tables: Mapping[str, Rows], *, width: int = WIDTH) -> str:
    """Format each table under its title: first column left-aligned, others right-aligned, None as a dash."""
    stream = StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    for title, (header, rows) in tables.items():
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index else "left")
        for row in rows:
            table.add_row(*(format_value(value) for value in row))
        console.print(table, "")
    return stream.getvalue().rstrip()


def rows_as_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a CSV file (RFC 4180): numbers with all their digits, None as an empty field."""
    stream = StringIO()
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def format_value(value: str | float | int | None, *, like: float | None = None) -> str:
    """Format a number with about four significant digits and a true minus sign; None as a dash.

    Args:
        value: number to format; text is returned unchanged.
        like: number whose digits determine the format; unset: `value` itself.
    """
    if value is None:
        return EN_DASH
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    size = abs(value if like is None else like)
    digits = 2 if size >= 10 else 3 if size >= 1 else 4
    return f"{value:.{digits}f}".replace("-", MINUS)
