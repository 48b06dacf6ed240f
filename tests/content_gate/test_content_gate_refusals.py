"""The content gate's refusals counted over a data set."""

from __future__ import annotations

import pytest

from ganvas.content_gate.refusals import check_share, describe_refusals
from ganvas.errors import PolicyRefusal


def refusals(count: int) -> list[PolicyRefusal]:
    return [PolicyRefusal(f"p{number}", "Open NSFW scores it 0.900, above 0.8", 0.9) for number in range(count)]


@pytest.mark.parametrize(("refused", "total"), [(0, 0), (0, 5), (1, 2), (2, 12), (2, 19), (1, 20), (3, 60), (5, 100)])
def test_few_refusals_leave_the_others(refused: int, total: int) -> None:
    check_share(refusals(refused), total)


@pytest.mark.parametrize(("refused", "total"), [(1, 1), (2, 2), (2, 20), (3, 12), (3, 59), (6, 100), (4, 4)])
def test_too_many_refuse_the_whole_set(refused: int, total: int) -> None:
    with pytest.raises(PolicyRefusal, match=f"the data set: refused: the content gate refuses {refused} of {total} "):
        check_share(refusals(refused), total)


def test_a_long_list_is_cut_and_counted() -> None:
    told = describe_refusals(refusals(5), 9, what="outputs")
    assert told.startswith("5 of 9 outputs (p0: Open NSFW scores it 0.900, above 0.8; p1: ")
    assert told.endswith("; and 2 more)")
    assert "p3" not in told
