"""Load of other programs, computed from the counters of proc(5), and the choice of the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from ganvas.errors import ConfigError
from ganvas.hardware import threads
from ganvas.hardware.threads import (
    OtherLoad,
    StepThreads,
    check_threads,
    computing_with,
    given_threads,
    let_waiting_threads_sleep,
    thread_counts,
    using_threads,
)
from ganvas.localization.classifier import make_session


@pytest.mark.parametrize(
    ("others", "threads", "none_left"), [(0.0, 2, False), (0.2, 2, False), (1.0, 2, True), (1.0, 1, False)]
)
def test_cores_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, threads: int, none_left: bool
) -> None:
    """Ten seconds on two cores, with 15 s of our own processor time."""
    clock, own, tick = [100.0], [50.0], os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: own[0])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    stat = tmp_path / "stat"
    stat.write_text(f"cpu {1000 * tick} 0 0 77 0 0 0 0 0 0\ncpu0 1 2 3\n")
    load = OtherLoad(stat)
    clock[0], own[0] = 110.0, 65.0
    stat.write_text(f"cpu {1015 * tick} 0 {int(5 * others * tick)} 99 5 0 0 {int(5 * others * tick)} 0 0\n")
    assert load.leaves_no(threads) == none_left


@pytest.mark.parametrize("text", [None, "", "cpu\n", "cpu a b c d e f g h\n"])
def test_a_system_without_counters_is_taken_to_be_busy(tmp_path: Path, text: str | None) -> None:
    stat = tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    assert OtherLoad(stat).leaves_no(1)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc/stat")
def test_the_real_counters_are_read() -> None:
    load = OtherLoad()
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    assert not load.leaves_no(-(10**6))  # no other program keeps a million cores busy


MEASURED = ({2: 30 / 812, 1: 30 / 540}, {2: 30 / 196, 1: 30 / 548}, {2: 30 / 32, 1: 30 / 304})
"""Number of threads -> seconds per step of 128-pixel pix2pix, on two cores beside 0, 1 and 2 busy programs."""


@dataclass
class Machine:
    """Clock that each step advances by its duration with the current number of threads."""

    pace: Callable[[float], dict[int, float]]
    time: float = 0.0
    threads: int = 0
    used: list[tuple[float, int]] = field(default_factory=list)

    def set_threads(self, count: int) -> None:
        self.threads = count
        self.used.append((self.time, count))

    def train(self, choice: StepThreads, *, until: float) -> int:
        """Run steps until a time; return their number."""
        steps = 0
        while self.time < until:
            with choice.step():
                self.time += self.pace(self.time)[self.threads]
            steps += 1
        return steps


def start(
    pace: Callable[[float], dict[int, float]],
    counts: tuple[int, ...] = (2, 1),
    contended: Callable[[float], bool] = lambda time: True,
) -> tuple[Machine, StepThreads]:
    machine = Machine(pace)
    choice = StepThreads(
        counts, machine.set_threads, is_contended=lambda: contended(machine.time), now=lambda: machine.time
    )
    return machine, choice


@pytest.mark.parametrize(("load", "best"), [(0, 2), (1, 1), (2, 1)])
def test_beside_any_load_a_short_training_reaches_most_of_the_best_setting(load: int, best: int) -> None:
    machine, choice = start(lambda time: MEASURED[load])
    steps = machine.train(choice, until=30.0)
    assert steps > 0.8 * 30.0 / MEASURED[load][best]
    assert choice.threads == best
    assert choice.pace == pytest.approx(MEASURED[load][best])


def test_an_idle_machine_computes_with_all_threads_from_the_first_step_to_the_last() -> None:
    """Whatever the speed: the results are then bitwise reproducible."""
    machine, choice = start(lambda time: {2: 0.04 if time < 100 else 0.2, 1: 0.01}, contended=lambda time: False)
    machine.train(choice, until=300.0)
    assert {count for _, count in machine.used} == {2}
    assert choice.is_settled
    assert choice.pace == pytest.approx(0.04)


@pytest.mark.parametrize("load", [1, 2])
def test_after_the_other_programs_all_threads_compute_again(load: int) -> None:
    machine, choice = start(lambda time: MEASURED[load if 60 < time < 90 else 0], contended=lambda time: 60 < time < 90)
    machine.train(choice, until=60.0)
    assert machine.used == [(0.0, 2)]
    machine.train(choice, until=80.0)
    assert choice.threads == 1
    machine.train(choice, until=100.0)
    assert (choice.threads, choice.is_settled) == (2, True)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (0, 1), (1, 0)])
def test_it_follows_a_load_that_comes_or_goes(before: int, after: int) -> None:
    machine, choice = start(lambda time: MEASURED[before if time < 60 else after])
    machine.train(choice, until=60.0)
    assert choice.threads == (1 if before else 2)
    machine.train(choice, until=150.0)
    assert choice.threads == (1 if after else 2)


def test_a_fall_of_the_speed_is_answered_within_seconds() -> None:
    machine, choice = start(lambda time: MEASURED[0 if time < 60 else 2])
    machine.train(choice, until=70.0)
    assert choice.threads == 1


@pytest.mark.parametrize("load", [0, 1, 2])
def test_trials_cost_little_in_the_long_run(load: int) -> None:
    machine, choice = start(lambda time: MEASURED[load])
    steps = machine.train(choice, until=1200.0)
    assert steps > 0.97 * 1200 / min(MEASURED[load].values())


def test_of_many_cores_the_best_number_is_found_and_slower_ones_are_not_gone_through() -> None:
    pace = {16: 1.0, 8: 1.5, 1: 10.0}
    machine, choice = start(lambda time: pace, thread_counts(16))
    machine.train(choice, until=30.0)
    assert choice.threads == 16
    assert 1 not in {count for _, count in machine.used}
    machine, choice = start(lambda time: {16: 3.0, 8: 1.5, 1: 2.0}, thread_counts(16))
    machine.train(choice, until=40.0)
    assert choice.threads == 8


def test_noise_does_not_change_the_choice() -> None:
    machine, choice = start(lambda time: {2: 0.1 + 0.02 * (int(time * 7) % 2), 1: 0.11})
    machine.train(choice, until=600.0)
    chosen = [count for (time, count), (end, _) in zip(machine.used, machine.used[1:], strict=False) if end - time > 5]
    assert len(set(chosen)) == 1


def test_a_single_number_is_measured_and_kept() -> None:
    machine, choice = start(lambda time: {3: 0.5 if time < 60 else 5.0}, (3,))
    assert not choice.is_settled
    machine.train(choice, until=200.0)
    assert choice.is_settled
    assert choice.pace == 0.5
    assert {count for _, count in machine.used} == {3}


@pytest.mark.parametrize(("most", "counts"), [(1, (1,)), (2, (2, 1)), (3, (3, 1)), (16, (16, 8, 1))])
def test_all_half_and_one_are_worth_trying(most: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(most) == counts


def test_a_given_number_is_used_by_torch_and_sessions_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    made: list[int] = []
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda model, sess_options, providers: made.append(
            sess_options.intra_op_num_threads
        )
    )  # fmt: skip
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    with using_threads(3):
        make_session(b"")
        make_session(b"", threads=1)
        assert (torch.get_num_threads(), given_threads()) == (3, 3)
    make_session(b"")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    make_session(b"")
    assert (torch.get_num_threads(), given_threads(), made) == (before, None, [3, 1, 0, 2])


def test_an_error_puts_the_number_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), using_threads(before + 1), computing_with(before + 2):
        raise KeyError
    assert (torch.get_num_threads(), given_threads()) == (before, None)


def test_none_changes_nothing_and_below_one_is_an_error() -> None:
    with using_threads(None):
        assert given_threads() is None
    check_threads(None)
    with pytest.raises(ConfigError, match="threads 0 must be 1 or more"), using_threads(0):
        pass


@pytest.mark.parametrize("name", threads.WAIT_VARIABLES)
def test_waiting_threads_sleep_unless_the_user_says_how_they_wait(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for known in threads.WAIT_VARIABLES:
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, "7")
    before = dict(os.environ)
    let_waiting_threads_sleep()
    assert dict(os.environ) == before
    monkeypatch.delenv(name)
    let_waiting_threads_sleep()
    assert os.environ.pop("GOMP_SPINCOUNT") == threads.SPINS


def test_the_command_line_says_so_before_torch_is_loaded() -> None:
    code = (
        "import os, sys\n"
        "from ganvas import cli\n"
        "cli._call = lambda verb, words: print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)\n"
        "cli.main(['locate'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in threads.WAIT_VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [threads.SPINS, "False"]
