"""One measure over many pictures."""

import pytest

from ganvas.evaluation.summary import Summary, summarise


def test_values_that_cannot_be_taken_are_left_out() -> None:
    assert summarise([1.0, None, 3.0]) == Summary(2.0, 1.0, 2)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_any_value_there_is_no_mean(values: list[float | None]) -> None:
    assert summarise(values) == Summary(None, None, 0)
