"""Toy densities: the density and its integral, the sampler compared with the CDF, and mixtures compared with SciPy."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, multivariate_normal

from ganvas.toy.densities import (
    GRID_STEP,
    Mixture,
    grid,
    grid_points,
    piecewise_cdf,
    piecewise_density,
    piecewise_samples,
    ring,
    spiral,
)


def test_the_density_is_the_published_one() -> None:
    x = np.array([-2.6, -1.3, -0.2, 0.0, 0.5, 1.0, 2.0, 3.1, -3.1])
    expected = np.array([1 / 3, 2 / 3, 1, 1, 0.5, 0, 1, 0, 0]) / 3.5
    np.testing.assert_allclose(piecewise_density(x), expected, atol=1e-15)


def test_it_integrates_to_one() -> None:
    assert piecewise_density(grid_points()).sum() * GRID_STEP == pytest.approx(1, abs=2e-3)
    assert quad(piecewise_density, -3, 3, points=[-2, -1, 0], limit=200)[0] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("x", [-3.5, -3, -2.4, -1, -0.01, 0, 0.3, 1, 2.7, 3, 4])
def test_the_cdf_is_the_integral(x: float) -> None:
    inside = [place for place in (-2, -1, 0) if place < x]
    integral = quad(piecewise_density, -3, min(max(x, -3), 3), points=inside or None, limit=200)[0]
    assert float(piecewise_cdf(x)) == pytest.approx(integral, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_samples_pass_the_kolmogorov_smirnov_test(seed: int) -> None:
    samples = piecewise_samples(10_000, np.random.default_rng(seed))
    assert kstest(samples, piecewise_cdf).pvalue > 1e-3


def test_the_kolmogorov_smirnov_test_would_see_a_wrong_sampler() -> None:
    uniform = np.random.default_rng(0).uniform(-3, 3, 10_000)
    assert kstest(uniform, piecewise_cdf).pvalue < 1e-9


def test_a_seed_settles_the_samples() -> None:
    first, again, other = (piecewise_samples(9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_density_of_a_mixture_is_exact(rng: np.random.Generator) -> None:
    mixture = Mixture(np.array([[0.0, 1.0], [2.0, -1.0]]), deviation=0.5)
    points = rng.normal(size=(50, 2))
    parts = [multivariate_normal(mean, 0.25).pdf(points) for mean in mixture.means]
    np.testing.assert_allclose(mixture.log_density(points), np.log(np.mean(parts, axis=0)), rtol=1e-10)


def test_a_far_point_has_a_finite_log_density() -> None:
    assert np.isfinite(ring().log_density(np.array([[1e3, 0.0]]))).all()


def test_points_lie_about_the_modes_asked_for(rng: np.random.Generator) -> None:
    mixture = grid()
    modes = np.repeat(np.arange(25), 400)
    points = mixture.sample_modes(modes, rng).reshape(25, 400, 2)
    np.testing.assert_allclose(points.mean(axis=1), mixture.means, atol=0.02)
    assert points.std(axis=1).mean() == pytest.approx(0.05, rel=0.02)
    assert mixture.sample(7, rng).shape == (7, 2)


def test_the_shapes() -> None:
    assert ring().means.shape == (8, 2)
    np.testing.assert_allclose(np.linalg.norm(ring().means, axis=1), 2)
    assert sorted({float(x) for x in grid().means[:, 0]}) == [-4, -2, 0, 2, 4]
    means = spiral(25).means
    apart = np.linalg.norm(means[:, None] - means, axis=-1) + 9 * np.eye(25)
    assert apart.min() > 6 * spiral(25).deviation


def test_it_needs_no_torch() -> None:
    code = "import sys, ganvas.toy.densities; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
