"""How many floating-point operations a piece of work asks for; a multiplication with its addition counts as two."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode


def count_operations(work: Callable[[], object]) -> int:
    """Of convolutions and matrix products, forward and backward; what is applied number by number is not counted."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def share_of_peak(operations: float, seconds: float, peak: float) -> float:
    """Part of the peak rate (operations a second) that was reached, in percent."""
    return 100 * operations / seconds / peak
