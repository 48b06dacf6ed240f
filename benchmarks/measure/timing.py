"""Timing of variants of a workload in turn, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]
Timer = Callable[[int], float]
"""Function from a number of calls, which it makes, to seconds per call."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one variant, round by round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the median seconds per call."""
        return median(self.seconds)

    @property
    def spread(self) -> str:
        """Return the fastest and the slowest round, in seconds."""
        return f"{min(self.seconds):.3g}-{max(self.seconds):.3g}"


def ratio(slow: Timing, fast: Timing) -> float:
    """Return the speedup of `fast`: the median of the rounds' ratios, in which the load of a round cancels out."""
    return median(s / f for s, f in zip(slow.seconds, fast.seconds, strict=True))


def timer(work: Work, finish: Work = lambda: None) -> Timer:
    """Return a timer of the workload in this process; `finish` waits for the device."""

    def timed(calls: int) -> float:
        finish()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        finish()
        return (time.perf_counter() - start) / calls

    return timed


def in_turn(
    variants: Mapping[str, Timer],
    *,
    rounds: int,
    budget: float = float("inf"),
    least_seconds: float = 0.0,
    warm_up: int = 0,
) -> dict[str, Timing]:
    """Time the variants in rounds: A, B, C, A, B, C ...

    Args:
        variants: name -> timer.
        rounds: largest number of rounds.
        budget: seconds after which no further round starts; there are always two rounds.
        least_seconds: least duration of a variant in a round; an untimed round determines the number of calls.
        warm_up: untimed calls of each variant before the first round, until its memory use is stable.
    """
    for timed in variants.values() if warm_up else ():
        timed(warm_up)
    begun = time.perf_counter()
    calls = {name: num_calls(timed(1), least_seconds) if least_seconds else 1 for name, timed in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for done in range(rounds):
        if done >= 2 and time.perf_counter() - begun > budget:
            break
        for name, timed in variants.items():
            seconds[name].append(timed(calls[name]))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def num_calls(seconds: float, least_seconds: float) -> int:
    """Return the number of calls of that duration that fill `least_seconds`; at least one."""
    return max(1, round(least_seconds / max(seconds, 1e-9)))
