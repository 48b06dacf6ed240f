"""Number of floating-point operations of a workload; a multiply-add counts as two."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode


def count_operations(work: Callable[[], object]) -> int:
    """Count the operations of convolutions and matrix products, forward and backward, without elementwise ones."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def share_of_peak(operations: float, seconds: float, peak: float) -> float:
    """Return the achieved percentage of the peak rate (operations per second)."""
    return 100 * operations / seconds / peak
