"""Ranking of pictures in a report, and the selection to show."""

from __future__ import annotations

import re

import pytest

from ganvas.reports.ranking import Ranking, worst_first


def test_the_lowest_comes_first_and_equal_pictures_last() -> None:
    assert worst_first({"a": 20.0, "b": None, "c": 5.0, "d": 20.0, "e": 0.0}) == ["e", "c", "a", "d", "b"]


@pytest.mark.parametrize("total", range(1, 9))
def test_few_pictures_are_all_shown_with_links_to_worst_median_and_best(total: int) -> None:
    names = [f"p{index}" for index in range(total)]
    ranking = Ranking(names, 8)
    assert ranking.shown == names
    ((title, shown, anchors),) = ranking.parts()
    assert (title, list(shown)) == ("", names)
    if total > 2:
        assert anchors == {names[0]: "worst", names[(total - 1) // 2]: "median", names[-1]: "best"}
        assert re.findall('href="#(.*?)"', ranking.links()) == ["worst", "median", "best"]
    else:
        assert (anchors, ranking.links()) == ({}, "")


@pytest.mark.parametrize("limit", [3, 4, 8, 24])
@pytest.mark.parametrize("more", [1, 2, 5, 1000])
def test_of_many_the_worst_the_median_and_the_best_are_shown_once(limit: int, more: int) -> None:
    names = [f"p{index}" for index in range(limit + more)]
    ranking = Ranking(names, limit)
    parts = [list(shown) for _, shown, _ in ranking.parts()]
    assert [re.search('id="(.*?)"', title)[1] for title, _, _ in ranking.parts()] == ["worst", "median", "best"]  # type: ignore[index]
    assert ranking.shown == [name for part in parts for name in part]
    assert len(set(ranking.shown)) == limit
    assert ranking.shown == sorted(ranking.shown, key=names.index)
    assert parts[0][0] == names[0]
    assert names[(len(names) - 1) // 2] in parts[0] + parts[1]
    assert parts[2][-1] == names[-1]
    assert f"{limit} of {limit + more:,} pictures" in ranking.describe()
