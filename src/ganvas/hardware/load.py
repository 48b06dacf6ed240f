"""CPU load of other programs, from the system's own counters."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of proc(5): user, nice, system, irq, softirq, and steal, which a virtual machine's host took."""
SPARE = 0.3
"""Cores by which other programs may reach into ours before that counts."""


class OtherLoad:
    """Cores that other programs kept busy since the last look.

    Args:
        stat: the counters; a system without them is taken to be busy, since nothing is known.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._before = self._counters()

    def leaves_no(self, threads: int) -> bool:
        """Return whether fewer cores than that many threads were free since the last call."""
        before, self._before = self._before, self._counters()
        if before is None or self._before is None or self._before[0] <= before[0]:
            return True
        seconds, busy, own = (after - earlier for after, earlier in zip(self._before, before, strict=True))
        others = max(0.0, busy - own) / seconds
        return others > (os.cpu_count() or 1) - threads + SPARE

    def _counters(self) -> tuple[float, float, float] | None:
        """Return seconds of a clock, of all cores' work, and of this process's; None where the system tells none."""
        try:
            columns = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            ticks = sum(int(columns[at]) for at in BUSY)
        except (OSError, ValueError, IndexError):
            return None
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()
