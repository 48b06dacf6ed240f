"""Coverage on sets of points whose answer can be counted by hand."""

import numpy as np
import pytest

from ganvas.data.density import grid, ring
from ganvas.metrics.collapse import Coverage, measure_coverage

MEANS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_counted_by_hand() -> None:
    points = np.array([[0, 0], [2.9, 0], [3.1, 0], [10, 3], [5, 5], [10, 10.5], [10, 9], [0, 13.5]], float)
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=3, held=3, high_quality=5 / 8)


def test_a_complete_collapse() -> None:
    points = np.tile(MEANS[2], (100, 1))
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=1, held=1, high_quality=1.0)


def test_a_mode_can_be_covered_and_not_held() -> None:
    counts = (100, 100, 194, 6)  # of 400: a fair share is 100, a quarter of it 25
    points = np.repeat(MEANS, counts, axis=0)
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=4, held=3, high_quality=1.0)


def test_nothing_near() -> None:
    points = np.full((5, 2), 5.0)
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=0, held=0, high_quality=0.0)


def test_points_that_are_no_numbers_count_as_bad() -> None:
    points = np.array([[np.nan, 0], [np.inf, np.inf], [0, 0], [10, 0]])
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=2, held=2, high_quality=0.5)


@pytest.mark.parametrize("mixture", [ring(), grid()], ids=["ring", "grid"])
def test_true_samples_reach_everything(mixture, rng) -> None:
    found = measure_coverage(mixture.sample(2500, rng), mixture.means, deviation=mixture.deviation)
    assert found.covered == found.held == found.modes == len(mixture.means)
    assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.008)  # within three deviations in the plane
