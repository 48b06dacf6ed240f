"""The clock: rates, intervals and seeds by images seen."""

from __future__ import annotations

import pytest

from ganvas.training.schedule import Clock, duration, learning_rate, reached, step_seed


@pytest.mark.parametrize(("seen", "rate"), [(0, 2.0), (50, 2.0), (75, 1.0), (99, 0.04), (100, 0.0), (120, 0.0)])
def test_constant_then_linear(seen: int, rate: float) -> None:
    assert learning_rate(seen, total=100, full=2.0, constant_fraction=0.5) == pytest.approx(rate)


@pytest.mark.parametrize("seen", [0, 99, 100])
def test_constant_as_in_the_paper(seen: int) -> None:
    assert learning_rate(seen, total=100, full=2.0, constant_fraction=1.0) == 2.0


def test_linear_from_the_start() -> None:
    assert learning_rate(25, total=100, full=2.0, constant_fraction=0.0) == 1.5


@pytest.mark.parametrize("batch", [1, 3, 10, 25])
def test_an_interval_is_reached_once_at_any_batch_size(batch: int) -> None:
    seen = range(0, 300, batch)
    assert sum(reached(30, before, before + batch) for before in seen) == 10


def test_seeds_of_steps_differ() -> None:
    seeds = {step_seed(seed, seen, rank) for seed in range(3) for seen in range(50) for rank in range(3)}
    assert len(seeds) == 450
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_rate_leaves_pauses_out() -> None:
    clock = Clock(before=5.0, images_at_start=10)
    with clock.pause():
        pass
    assert clock.seconds >= 5.0
    assert clock.rate(10) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (720, "12 min"), (11_100, "3 h 05 min"), (1_400_000, "16 days"), (float("inf"), "?")],
)
def test_durations_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_tenth_of_the_rate_after_the_constant_part() -> None:
    rates = [
        learning_rate(seen, total=10, full=1.0, constant_fraction=0.5, decay="tenth") for seen in (0, 5, 6, 10, 11)
    ]
    assert rates == [1.0, 1.0, 0.1, 0.1, 0.1]
