"""Tables of numbers as text and as CSV files."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from ganvas.reports.tables import EN_DASH, format_value, rows_as_csv, tables_as_text


def test_numbers_stand_to_the_right_and_what_is_missing_is_a_dash() -> None:
    told = tables_as_text({"Sizes": (["", "seen"], [["one", 1234], ["another", None]])}).splitlines()
    assert [line.rstrip() for line in told] == [
        "Sizes", "          seen", "one      1,234", f"another      {EN_DASH}"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), ("a", "a"), (12345, "12,345"), (24.318, "24.32"), (-1.5, "\u22121.500"), (0.03, "0.0300")],
)
def test_numbers_as_people_read_them(value: str | float | None, text: str) -> None:
    assert format_value(value) == text


def test_a_csv_file_keeps_names_and_all_digits() -> None:
    rows = [['a, "b"\nc', 0.1 + 0.2, None], ["=1+1", 3, "x"]]
    text = rows_as_csv(["picture", "psnr", "note"], rows)
    assert list(csv.reader(StringIO(text, newline=""))) == [
        ["picture", "psnr", "note"],
        ['a, "b"\nc', "0.30000000000000004", ""],
        ["=1+1", "3", "x"],
    ]
