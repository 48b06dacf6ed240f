"""Frechet and kernel distances compared with scipy and with plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from ganvas.errors import InputError
from ganvas.metrics import distribution as module
from ganvas.metrics.distribution import (
    Coverage,
    FeatureSpace,
    Moments,
    frechet_distance,
    kernel_distance,
    measure_coverage,
    squared_discrepancy,
)
from ganvas.toy.densities import grid, ring

SPACE = FeatureSpace(name="plain numbers", dimension=12, protocol="none")
MEANS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def vectors(rng, count, *, dimension=12, offset=0.0, rank=None):
    mixing = rng.normal(size=(rank or dimension, dimension))
    return rng.normal(size=(count, rank or dimension)) @ mixing + offset


def statistics_of(sample, space=SPACE):
    moments = Moments(space)
    moments.add(sample)
    return moments.statistics()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from([0.0, 1e4]))
@settings(max_examples=20)
def test_batches_of_any_size_give_numpys_moments(sizes, offset):
    sample = vectors(np.random.default_rng(sum(sizes)), sum(sizes) + 2, offset=offset)
    moments = Moments(SPACE)
    start = 0
    for size in [*sizes, 2]:
        moments.add(sample[start : start + size])
        start += size
    statistics = moments.statistics()
    assert statistics.count == len(sample)
    np.testing.assert_allclose(statistics.mean, sample.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(sample, rowvar=False), rtol=1e-8, atol=1e-9)


def by_sqrtm(first, second):
    root = linalg.sqrtm(first.covariance @ second.covariance)
    step = first.mean - second.mean
    return step @ step + np.trace(first.covariance + second.covariance - 2 * np.real(root))


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_frechet_distance_is_scipys(rng, offset):
    first, second = statistics_of(vectors(rng, 200)), statistics_of(vectors(rng, 150, offset=offset))
    distance = frechet_distance(first, second)
    assert distance.value == pytest.approx(by_sqrtm(first, second), rel=1e-9)
    assert (distance.measure, distance.counts, distance.deviation) == ("Frechet distance", (200, 150), None)


def test_the_frechet_distance_of_known_gaussians():
    """Closed form for commuting covariances."""
    first = module.FeatureStatistics(features=SPACE, count=9, mean=np.zeros(12), covariance=np.eye(12) * 4)
    second = module.FeatureStatistics(features=SPACE, count=9, mean=np.ones(12), covariance=np.eye(12) * 9)
    assert frechet_distance(first, second).value == pytest.approx(12 + 12 * (3 - 2) ** 2)


def test_without_full_rank_it_stays_exact(rng):
    """With fewer pictures than features, where the matrix square root is complex or fails."""
    sample = vectors(rng, 400, rank=5)
    own = statistics_of(sample)
    assert frechet_distance(own, own).value == pytest.approx(0, abs=1e-9 * np.trace(own.covariance))
    few, turn = vectors(rng, 6), linalg.qr(rng.normal(size=(12, 12)))[0]
    straight = frechet_distance(statistics_of(few), statistics_of(sample)).value
    assert frechet_distance(statistics_of(few @ turn), statistics_of(sample @ turn)).value == pytest.approx(straight)
    assert straight > 0
    alike = statistics_of(np.ones((3, 12)))
    assert frechet_distance(alike, alike).value == 0


@pytest.mark.slow
def test_at_the_size_of_inception(rng):
    space = FeatureSpace(name="large", dimension=2048, protocol="none")
    sample = rng.normal(size=(600, 2048))
    first, second = statistics_of(sample, space), statistics_of(sample + 0.1, space)
    assert frechet_distance(first, second).value == pytest.approx(0.01 * 2048, rel=1e-6)


def by_loops(x, y):
    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize("block", [1024, 7])
def test_the_discrepancy_is_that_of_plain_loops(rng, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = vectors(rng, 23), vectors(rng, 17, offset=0.5)
    assert squared_discrepancy(x, y) == pytest.approx(by_loops(x, y), rel=1e-10)


def test_the_estimate_is_unbiased(rng):
    """For two samples of one distribution, the mean over many estimates is 0 within its standard error."""
    values = [squared_discrepancy(*rng.normal(size=(2, 10, 4))) for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_subsets_of_the_whole_set_are_the_whole_set(rng):
    x, y = vectors(rng, 20), vectors(rng, 20, offset=1.0)
    distance = kernel_distance(x, y, SPACE, subset_size=1000, num_subsets=3)
    assert distance.value == pytest.approx(squared_discrepancy(x, y))
    assert distance.deviation == pytest.approx(0, abs=1e-9 * distance.value)


def test_subsets_are_seeded_and_agree_with_the_whole(rng):
    x, y = vectors(rng, 300), vectors(rng, 250, offset=1.0)
    distance, again = (kernel_distance(x, y, SPACE, subset_size=50, num_subsets=40) for _ in range(2))
    other = kernel_distance(x, y, SPACE, subset_size=50, num_subsets=40, seed=1)
    assert distance == again != other
    assert distance.deviation is not None
    assert abs(distance.value - squared_discrepancy(x, y)) < 4 * distance.deviation / np.sqrt(40)


def test_only_inceptions_features_make_fid_and_kid(rng):
    x, y = vectors(rng, 20), vectors(rng, 20)
    for is_inception, names in ((False, ["Frechet distance", "kernel distance"]), (True, ["FID", "KID"])):
        space = FeatureSpace(name="named", dimension=12, protocol="how", is_inception_fid=is_inception)
        frechet = frechet_distance(statistics_of(x, space), statistics_of(y, space))
        kernel = kernel_distance(x, y, space)
        assert [frechet.measure, kernel.measure] == names
        assert frechet.as_record()["features"] == kernel.as_record()["features"] == "named"
        assert kernel.as_record()["counts"] == [20, 20]


def test_bad_features_are_refused(rng):
    sample = vectors(rng, 5)
    with pytest.raises(InputError, match=r"\(N, 12\)"):
        Moments(SPACE).add(sample[:, :5])
    with pytest.raises(InputError, match="NaN"):
        Moments(SPACE).add(np.full((2, 12), np.nan))
    with pytest.raises(InputError, match="two pictures"):
        statistics_of(sample[:1])
    with pytest.raises(InputError, match="two pictures"):
        kernel_distance(sample, sample[:1], SPACE)
    other = FeatureSpace(name="other", dimension=12, protocol="none")
    with pytest.raises(InputError, match="plain numbers; other"):
        frechet_distance(statistics_of(sample), statistics_of(sample, other))


def test_counted_by_hand() -> None:
    points = np.array([[0, 0], [2.9, 0], [3.1, 0], [10, 3], [5, 5], [10, 10.5], [10, 9], [0, 13.5]], float)
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=3, held=3, high_quality=5 / 8)


def test_a_complete_collapse() -> None:
    points = np.tile(MEANS[2], (100, 1))
    assert measure_coverage(points, MEANS, deviation=1.0) == Coverage(4, covered=1, held=1, high_quality=1.0)


def test_a_mode_can_be_covered_and_not_held() -> None:
    counts = (100, 100, 194, 6)  # of 400: an equal share is 100, a quarter of it 25
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
