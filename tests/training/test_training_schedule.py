"""Training schedule: learning rates, intervals and seeds by images seen, and the time budget."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from training_runs import MakeConfig

from ganvas.hardware.threads import StepThreads
from ganvas.training import loop, schedule
from ganvas.training.loop import train
from ganvas.training.schedule import RESERVE_MOST, Budget, Clock, learning_rate, reached, step_seed


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
    clock = Clock(images_seen=10, before=5.0)
    with clock.pause():
        pass
    assert clock.seconds >= 5.0
    assert clock.rate == 0.0


def test_a_tenth_of_the_rate_after_the_constant_part() -> None:
    rates = [
        learning_rate(seen, total=10, full=1.0, constant_fraction=0.5, decay="tenth") for seen in (0, 5, 6, 10, 11)
    ]
    assert rates == [1.0, 1.0, 0.1, 0.1, 0.1]


class FakeClock:
    """Clock that advances only by simulated work."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time

    def take(self, seconds: float) -> None:
        self.time += seconds


def run(
    limit: float, step: float, validation: float, *, pictures: int = 10, every: int = 10**9
) -> tuple[float, int, Budget]:
    """Train on a fake clock; return total seconds, steps, and the budget."""
    clock = FakeClock()
    budget = Budget(limit=limit, batch_size=1, validation_pictures=pictures, now=clock)
    steps = 0
    while not budget.is_over(clock.time):
        clock.take(step)
        budget.took_step(step)
        steps += 1
        if steps % every == 0:
            with budget.measuring("validation"):
                clock.take(validation)
    for what, seconds in (("validation", validation), ("sample", step), ("checkpoint", 0.02 * limit)):
        with budget.measuring(what):
            clock.take(seconds)
    return clock.time, steps, budget


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0, 9.0])
@pytest.mark.parametrize("pictures", [0, 10, 30])
def test_the_limit_is_kept_to_a_tenth_where_the_forward_pass_is_as_expected(step: float, pictures: int) -> None:
    limit = 120.0
    validation = min(0.3 * step * pictures, RESERVE_MOST * limit - 1.2 * step)
    seconds, _, _ = run(limit, step, validation, pictures=pictures)
    assert seconds == pytest.approx(limit, rel=0.1)


@pytest.mark.parametrize("validation", [0.5, 10.0, 30.0])
def test_a_measured_validation_is_reserved_as_it_is(validation: float) -> None:
    seconds, _, _ = run(240.0, 2.0, validation, pictures=1, every=20)
    assert seconds == pytest.approx(240.0, rel=0.1)


def test_a_slow_validation_leaves_most_of_the_time_for_training() -> None:
    _, steps, _ = run(60.0, 1.0, 500.0, pictures=10_000)
    assert steps >= 40


def test_a_step_longer_than_the_limit_is_taken_once() -> None:
    assert run(1.0, 30.0, 0.0)[1] == 1


def test_a_step_is_not_begun_that_would_end_more_than_a_tenth_too_late() -> None:
    seconds, steps, _ = run(100.0, 30.0, 0.0, pictures=0)
    assert steps == 2  # a third would end at 90 and leave no time for the preview grid
    assert seconds <= 110


def test_without_a_limit_it_is_never_over() -> None:
    budget = Budget(limit=None, batch_size=1, validation_pictures=5)
    budget.took_step(100.0)
    assert not budget.is_over(1e9)


def test_what_was_reserved_at_the_end_ends_the_next_start_at_once() -> None:
    seconds, _, budget = run(100.0, 7.0, 9.0)
    again = Budget(limit=100.0, batch_size=1, validation_pictures=10, kept=budget.reserve + 7.0)
    assert again.is_over(seconds)
    assert not Budget(limit=300.0, batch_size=1, validation_pictures=10, kept=budget.reserve + 7.0).is_over(seconds)


def test_a_slow_start_is_soon_forgotten() -> None:
    budget = Budget(limit=100.0, batch_size=1, validation_pictures=0)
    for seconds in (20.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        budget.took_step(seconds)
    assert budget.step_seconds is not None
    assert budget.step_seconds < 2


@pytest.mark.slow
def test_training_on_a_slow_machine_keeps_its_minutes(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complete trainer on a fake clock: a step takes 8 s, and validation of 3 pictures 8 s."""
    clock = FakeClock()
    monkeypatch.setattr(schedule.time, "monotonic", clock)
    monkeypatch.setattr(loop, "Budget", partial(Budget, now=clock))
    monkeypatch.setattr(loop, "StepThreads", partial(StepThreads, now=clock))
    play = loop.take_turns

    def slow(*given: object, **named: object) -> object:
        clock.take(8.0)
        return play(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "take_turns", slow)
    result = train(tiny_config(epochs=1000, minutes=2.0), tmp_path / "run", quiet=True)
    assert result.stopped == "minutes"
    assert result.seconds == pytest.approx(120.0, rel=0.1)
    again = train(tiny_config(epochs=1000, minutes=2.0), tmp_path / "run", resume=True, quiet=True)
    assert again.images_seen == result.images_seen
