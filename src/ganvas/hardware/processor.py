"""The processor: its name, cores and memory, and the load that other programs put on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NAME_KEYS = ("model name", "Model", "Hardware")
"""Of lines in /proc/cpuinfo; the later ones are those of ARM boards."""


def processor_name() -> str:
    """Return the name of the processor, or the architecture where the system reports none."""
    if CPUINFO.is_file():
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if names := [told[key] for key in NAME_KEYS if told.get(key)]:
            return names[0]
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if name := done.stdout.strip():
            return name
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Return how many logical cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the machine's memory, or None where the system does not report it, as on Windows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of proc(5): user, nice, system, irq, softirq, and steal, which a virtual machine's host took."""
SPARE = 0.3
"""Cores of ours that other programs may use before that counts as load."""


class OtherLoad:
    """Number of cores that other programs kept busy since the last call.

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
        """Return seconds of a clock, of all cores' work, and of this process's; None where the system has none."""
        try:
            columns = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            ticks = sum(int(columns[at]) for at in BUSY)
        except (OSError, ValueError, IndexError):
            return None
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()
