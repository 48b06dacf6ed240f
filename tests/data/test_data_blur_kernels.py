"""Blur kernels compared with their formulas, and the distribution of random kernels."""

from __future__ import annotations

from collections import Counter
from math import atan2, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from ganvas.data import blur_kernels
from ganvas.data.blur_kernels import Kernel, draw_kernel, draw_sinc_kernel, gaussian_kernel, plateau_kernel, sinc_kernel

SIZES = st.integers(3, 10).map(lambda radius: 2 * radius + 1)
DEVIATIONS = st.tuples(st.floats(0.2, 3.0), st.floats(0.2, 3.0))


def distances(size: int, deviations: tuple[float, float], angle: float) -> Kernel:
    """Return C^T S^-1 C of each pixel, from the matrices of the paper."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag(np.square(deviations)) @ turn.T)
    places = np.array([[(x, y) for x in range(size)] for y in range(size)], float) - size // 2
    return np.asarray(np.einsum("...i,ij,...j", places, inverse, places))


@given(SIZES, DEVIATIONS, st.floats(-pi, pi), st.floats(0.5, 4.0))
@settings(max_examples=40)
def test_every_kernel_sums_to_one_and_is_symmetric(
    size: int, deviations: tuple[float, float], angle: float, beta: float
) -> None:
    for kernel in (
        gaussian_kernel(size, deviations=deviations, angle=angle, beta=beta),
        plateau_kernel(size, deviations=deviations, angle=angle, beta=beta),
        sinc_kernel(size, 0.2 + beta / 2),
    ):
        assert kernel.shape == (size, size)
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_the_generalized_gaussian_is_eq_2(beta: float) -> None:
    given_distances = distances(15, (2.5, 0.9), 0.4)
    expected = np.exp(-0.5 * given_distances**beta)
    kernel = gaussian_kernel(15, deviations=(2.5, 0.9), angle=0.4, beta=beta)
    np.testing.assert_allclose(kernel, expected / expected.sum(), rtol=1e-9, atol=1e-300)


def test_a_larger_beta_is_flatter_inside_and_steeper_outside() -> None:
    pointed, usual, flat = (gaussian_kernel(21, deviations=(3, 3), beta=beta)[10] for beta in (0.5, 1.0, 4.0))
    near = [row[10] / row[12] for row in (pointed, usual, flat)]
    far = [row[12] / row[17] for row in (pointed, usual, flat)]
    assert near[0] > near[1] > near[2]
    assert far[0] < far[1] < far[2]
    assert flat[10] / flat[12] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_plateau_is_eq_3(beta: float) -> None:
    expected = 1 / (1 + distances(9, (0.7, 3.0), -1.1) ** beta)
    kernel = plateau_kernel(9, deviations=(0.7, 3.0), angle=-1.1, beta=beta)
    np.testing.assert_allclose(kernel, expected / expected.sum(), rtol=1e-9)


def test_the_angle_turns_the_long_axis() -> None:
    rows, columns = np.mgrid[-10:11, -10:11]
    for angle in (0.0, 0.6, 2.0):
        kernel = gaussian_kernel(21, deviations=(3.0, 1.0), angle=angle)
        moments = [[(kernel * a * b).sum() for a in (columns, rows)] for b in (columns, rows)]
        along = np.linalg.eigh(moments)[1][:, 1]
        assert atan2(along[1], along[0]) % pi == pytest.approx(angle % pi, abs=1e-3)  # the kernel is truncated


@pytest.mark.parametrize("cutoff", [pi / 5, 2.0, pi])
def test_the_sinc_filter_is_eq_6(cutoff: float) -> None:
    rows, columns = np.mgrid[-10:11, -10:11]
    radius = np.hypot(rows, columns)
    with np.errstate(invalid="ignore"):
        expected = np.where(radius > 0, cutoff * special.j1(cutoff * radius) / (2 * pi * radius), cutoff**2 / (4 * pi))
    kernel = sinc_kernel(21, cutoff)
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-7)
    assert kernel.min() < 0  # the filter rings


def test_the_sinc_filter_is_the_transform_of_a_disk() -> None:
    """Eq. 6 is the inverse Fourier transform of a disk with the radius of the cutoff, computed here by quadrature."""
    cutoff, place = 1.7, 3
    real, _ = integrate.dblquad(
        lambda angle, length: length * np.cos(length * np.cos(angle) * place), 0, cutoff, 0, 2 * pi, epsabs=1e-10
    )
    kernel = sinc_kernel(21, cutoff)
    center = cutoff**2 / (4 * pi)
    assert kernel[10, 10 + place] / kernel[10, 10] == pytest.approx(real / (4 * pi**2) / center, rel=1e-6)


def test_kernels_are_drawn_with_the_shares_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Counter[str]()
    arguments = []

    def note(name: str, isotropic: bool) -> Kernel:
        seen[f"{name}, {'isotropic' if isotropic else 'anisotropic'}"] += 1
        return np.ones((1, 1))

    def gaussian(size: int, *, deviations: tuple[float, float], angle: float, beta: float) -> Kernel:
        arguments.append((size, *deviations, angle, beta))
        return note("gaussian" if beta == 1 else "generalized", deviations[0] == deviations[1])

    def plateau(size: int, *, deviations: tuple[float, float], angle: float, beta: float) -> Kernel:
        assert 1 <= beta <= 2
        arguments.append((size, *deviations, angle, beta))
        return note("plateau", deviations[0] == deviations[1])

    def sinc(size: int, cutoff: float) -> Kernel:
        assert (pi / 3 if size < 13 else pi / 5) <= cutoff <= pi
        return note("sinc", True)

    for name, fake in (("gaussian_kernel", gaussian), ("plateau_kernel", plateau), ("sinc_kernel", sinc)):
        monkeypatch.setattr(blur_kernels, name, fake)
    random, count = np.random.default_rng(0), 6000
    for _ in range(count):
        draw_kernel(random, (0.2, 3.0))
    shares = {
        "gaussian, isotropic": 0.45, "gaussian, anisotropic": 0.25, "generalized, isotropic": 0.12,
        "generalized, anisotropic": 0.03, "plateau, isotropic": 0.12, "plateau, anisotropic": 0.03,
    }  # fmt: skip
    expected = {name: 0.9 * share for name, share in shares.items()} | {"sinc, isotropic": 0.1}
    assert {name: seen[name] / count for name in expected} == pytest.approx(expected, abs=0.015)
    assert {size for size, *_ in arguments} == {7, 9, 11, 13, 15, 17, 19, 21}
    assert all(0.2 <= value <= 3 for _, *both, _, _ in arguments for value in both)
    assert all(0.5 <= beta <= 4 for *_, beta in arguments)


def test_the_final_filter_is_a_sinc_filter() -> None:
    random = np.random.default_rng(0)
    sizes = {draw_sinc_kernel(random).shape[0] for _ in range(200)}
    assert sizes == {7, 9, 11, 13, 15, 17, 19, 21}
