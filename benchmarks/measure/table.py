"""Table of results, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Cell = str | int | float | None
Row = Mapping[str, Cell]


@dataclass
class Table:
    """Rows with common columns.

    Attributes:
        rows: column -> figure; a row may lack columns.
        notes: sentences below the table.
        failures: failed measurements with their reasons.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, error: BaseException) -> None:
        """Record a failure, and continue with the others."""
        self.failures.append(f"FAILED: {what}: {type(error).__name__}: {error}")

    @property
    def columns(self) -> list[str]:
        """Return the columns of all rows, in order of first appearance."""
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def as_record(self) -> dict[str, object]:
        """Return the table for JSON."""
        return {"title": self.title, "rows": [dict(row) for row in self.rows], "notes": self.notes,
                "failures": self.failures}  # fmt: skip


def markdown(tables: Sequence[Table]) -> str:
    """Return all tables, one below the other."""
    return "\n\n".join(_one(table) for table in tables)


def _one(table: Table) -> str:
    columns = table.columns
    lines = [f"### {table.title}", ""]
    if columns:
        lines += [_line(columns), _line(["---"] * len(columns))]
        lines += [_line([cell_text(row.get(column)) for column in columns]) for row in table.rows]
        lines.append("")
    return "\n".join(lines + [f"{note}\n" for note in (*table.notes, *table.failures)]).rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cell_text(value: Cell) -> str:
    """Format a measured number with three significant digits; integers and words are unchanged."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value).replace("|", "\\|").replace("\n", " ")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
