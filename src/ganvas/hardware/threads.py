"""Processor properties and the number of CPU threads, set by the user or tuned on the speed of training steps.

Two threads wait for each other at the end of every operation. If another program occupies one of two cores, one thread
can be many times as fast as two, so the number is measured (docs/threads.md).
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ganvas.errors import ConfigError

__all__ = [
    "OtherLoad",
    "StepThreads",
    "check_threads",
    "computing_with",
    "core_count",
    "given_threads",
    "let_waiting_threads_sleep",
    "memory_bytes",
    "processor_name",
    "thread_counts",
    "using_threads",
]

CPUINFO = Path("/proc/cpuinfo")
NAME_KEYS = ("model name", "Model", "Hardware")
"""Keys of the processor's name in /proc/cpuinfo; the later ones are used on ARM boards."""


def processor_name() -> str:
    """Return the name of the processor, or the architecture if the system reports no name."""
    if CPUINFO.is_file():
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if names := [fields[key] for key in NAME_KEYS if fields.get(key)]:
            return names[0]
    if sys.platform == "darwin":
        import subprocess  # slow to import and needed only on macOS

        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if name := done.stdout.strip():
            return name
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Return the number of logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the machine's memory in bytes, or None if the system does not report it, as on Windows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of /proc/stat: user, nice, system, irq, softirq, and steal (time taken by a virtual machine's host)."""
SPARE = 0.3
"""Number of cores that other programs may use before they count as load."""


class OtherLoad:
    """Number of cores that other programs kept busy since the last call.

    Args:
        stat: file of the counters; a system without them counts as busy.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._before = self._counters()

    def leaves_no(self, threads: int) -> bool:
        """Return whether fewer than `threads` cores were free since the last call."""
        before, self._before = self._before, self._counters()
        if before is None or self._before is None or self._before[0] <= before[0]:
            return True
        seconds, busy, own = (after - earlier for after, earlier in zip(self._before, before, strict=True))
        others = max(0.0, busy - own) / seconds
        return others > (os.cpu_count() or 1) - threads + SPARE

    def _counters(self) -> tuple[float, float, float] | None:
        """Return seconds of a clock, of work of all cores, and of this process; None if there are no counters."""
        try:
            columns = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            ticks = sum(int(columns[at]) for at in BUSY)
        except (OSError, ValueError, IndexError):
            return None
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()


WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that configure how OpenMP threads wait."""
SPINS = "1000"
"""Iterations of a waiting thread's loop before it sleeps: tens of microseconds. With libgomp's default of 300,000 a
thread occupies a core for milliseconds, which slows several threads beside other programs; with more threads than cores
libgomp itself uses 1,000."""
TRIAL_SECONDS = 0.5
"""Duration of a trial of a number of threads; at least one step."""
TRIAL_STEPS = 10
"""Largest number of steps of a trial."""
WINDOW_SECONDS = 2.0
"""Duration over which the speed is monitored; at least two steps."""
FALLEN = 0.75
"""Share of the speed at the last choice below which the number is measured again."""
BETTER = 1.08
"""Speed ratio that another number must reach to be chosen."""
PATIENCE = 20.0
"""Seconds until the other numbers are tried again; doubles while nothing changes."""
PATIENCE_MOST = 640.0
TRIAL_SHARE = 0.05
"""Largest share of the time for trials that no fall of the speed triggers."""
REST = 4
"""Pause after a trial, as a multiple of its duration, before a fall of the speed triggers another."""
_GIVEN: list[int] = []
"""Stack of the numbers of threads in `using_threads`; global to the process, as is torch's own number."""


def let_waiting_threads_sleep() -> None:
    """Make waiting OpenMP threads sleep early, unless the user configured how threads wait.

    Call it before torch is imported, since the OpenMP library reads the environment when it is loaded.
    """
    if not any(name in os.environ for name in WAIT_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def check_threads(threads: int | None) -> None:
    """Raise ConfigError for a number of threads below 1."""
    if threads is not None and threads < 1:
        raise ConfigError(f"threads {threads} must be 1 or more; omit the option to use the fastest number")


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Set the number of torch's threads inside the block."""
    import torch  # slow to import

    before = torch.get_num_threads()
    if before == threads:  # setting it, even to the same value, affects the libraries of other threads
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Set the number of threads of torch, ONNX Runtime sessions and training runs that start inside the block.

    Args:
        threads: None changes nothing.

    Raises:
        ConfigError: the number is below 1.
    """
    check_threads(threads)
    if threads is None:
        yield
        return
    _GIVEN.append(threads)
    try:
        with computing_with(threads):
            yield
    finally:
        _GIVEN.pop()


def given_threads() -> int | None:
    """Return the number of the innermost `using_threads`; None if the user set none."""
    return _GIVEN[-1] if _GIVEN else None


def thread_counts(most: int) -> tuple[int, ...]:
    """Return the candidate numbers, the largest first: all, half, one."""
    return tuple(sorted({1, max(1, most // 2), most}, reverse=True))


@dataclass
class _Watch:
    """Steps timed with one number of threads."""

    steps: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.steps, self.seconds = self.steps + 1, self.seconds + seconds

    @property
    def pace(self) -> float:
        """Seconds per step."""
        return self.seconds / self.steps


@dataclass
class StepThreads:
    """Automatic number of threads for repeated, equal steps, measured on the steps themselves.

    On an otherwise idle machine the largest number is used without trials, so results are bitwise reproducible. Beside
    other programs each number of `counts` computes a few steps, from the largest down until fewer are slower, and the
    fastest is chosen. When its speed falls, and from time to time, its neighbors are tried again.

    Attributes:
        counts: candidate numbers of threads, the largest first; a single candidate is never measured.
        set_threads: sets the number of threads of the process.
        is_contended: whether other programs took some of the cores since the last call.
        now: a clock in seconds.
        threads: the current number.
        pace: seconds per step of the choice, as last measured; None before the first choice.
        last: seconds of the last step.
    """

    counts: Sequence[int]
    set_threads: Callable[[int], None]
    is_contended: Callable[[], bool] = lambda: True
    now: Callable[[], float] = time.monotonic
    threads: int = field(init=False)
    pace: float | None = field(init=False, default=None)
    last: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.threads = self._chosen = self.counts[0]
        self._paces: dict[int, float] = {}
        self._waiting = list(self.counts)
        self._watch, self._warm = _Watch(), 2  # first calls lay out weights and choose kernels
        self._window = _Watch()
        self._patience, self._trial_seconds = PATIENCE, 0.0
        self._next_trial = self._resting_until = self.now()
        self.set_threads(self.threads)

    @property
    def is_settled(self) -> bool:
        """Whether the number in use is chosen and its speed known; otherwise a trial is running."""
        return self.pace is not None and not self._waiting

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time the step inside the block; after it the number of threads may change."""
        start = self.now()
        yield
        self.last = self.now() - start
        self._took(self.last)

    def _took(self, seconds: float) -> None:
        if self._waiting:
            self._try(seconds)
        elif len(self.counts) > 1:
            self._watch_over(seconds)

    def _try(self, seconds: float) -> None:
        """Count a step of a trial: the first are warm-up, and the trial of a clearly slow number ends early."""
        self._trial_seconds += seconds
        if self._warm:
            self._warm -= 1
            return
        self._watch.add(seconds)
        best = min(self._paces.values(), default=float("inf"))
        is_slow = self._watch.pace > 2 * best
        if self._watch.seconds < TRIAL_SECONDS and self._watch.steps < TRIAL_STEPS and not is_slow:
            return
        tried = self._waiting.pop(0)
        self._paces[tried] = self._watch.pace
        if self.pace is None and tried == self.counts[0] and not self.is_contended():
            self._waiting.clear()
        if self._paces[tried] > BETTER * best:  # continuing in that direction would be slower still
            self._waiting = [count for count in self._waiting if (count < self._chosen) != (tried < self._chosen)]
        self._begin_next() if self._waiting else self._choose()

    def _begin_next(self) -> None:
        self._watch, self._warm = _Watch(), 1
        self._use(self._waiting[0])

    def _choose(self) -> None:
        fastest = min(self._paces, key=lambda count: self._paces[count])
        before, first = self._chosen, self.pace is None
        stays = not first and self._paces[fastest] * BETTER > self._paces[before]
        self._chosen = before if stays else fastest
        self.pace = self._paces[self._chosen]
        self._patience = min(2 * self._patience, PATIENCE_MOST) if self._chosen == before and not first else PATIENCE
        now = self.now()
        self._next_trial = now + max(self._patience, self._trial_seconds / TRIAL_SHARE)
        self._resting_until = now + REST * self._trial_seconds
        self._window = _Watch()
        self._use(self._chosen)

    def _watch_over(self, seconds: float) -> None:
        """Compare the speed with that at the last choice, window by window."""
        self._window.add(seconds)
        if self._window.steps < 2 or self._window.seconds < WINDOW_SECONDS:
            return
        pace, self._window = self._window.pace, _Watch()
        assert self.pace is not None, "monitoring begins after the choice"
        has_fallen, now = pace * FALLEN > self.pace, self.now()
        if not self.is_contended():
            self.pace = min(pace, self.pace)
            if self._chosen != self.counts[0]:
                self._return_to_all()
        elif (has_fallen and now >= self._resting_until) or now >= self._next_trial:
            self._begin_trial(pace)
        else:
            self.pace = min(pace, self.pace)

    def _begin_trial(self, pace: float) -> None:
        """Try the other numbers, the neighbors of the current one first."""
        self._paces, self.pace, self._trial_seconds = {self._chosen: pace}, pace, 0.0
        lower = [count for count in self.counts if count < self._chosen]
        higher = [count for count in reversed(self.counts) if count > self._chosen]
        self._waiting = lower + higher
        self._begin_next()

    def _return_to_all(self) -> None:
        """Return to the largest number, and measure its speed."""
        self._chosen, self._paces, self._waiting, self._trial_seconds = self.counts[0], {}, [self.counts[0]], 0.0
        self.pace = None
        self._begin_next()

    def _use(self, threads: int) -> None:
        if threads != self.threads:
            self.threads = threads
            self.set_threads(threads)
