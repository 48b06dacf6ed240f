"""Tables for the terminal."""

from ganvas.reports.text import EN_DASH, tables_as_text


def test_numbers_stand_to_the_right_and_what_is_missing_is_a_dash() -> None:
    told = tables_as_text({"Sizes": (["", "seen"], [["one", 1234], ["another", None]])}).splitlines()
    assert [line.rstrip() for line in told] == [
        "Sizes", "          seen", "one      1,234", f"another      {EN_DASH}"
    ]  # fmt: skip
