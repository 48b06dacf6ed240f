"""The processor: its name, cores and memory, as the operating system tells them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["core_count", "memory_bytes", "processor_name"]

CPUINFO = Path("/proc/cpuinfo")
NAME_KEYS = ("model name", "Model", "Hardware")
"""Of lines in /proc/cpuinfo; the later ones are those of ARM boards."""


def processor_name() -> str:
    """Return the name that its maker gives it, or the architecture where the system tells none."""
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
    """Return the machine's memory, or None where the system does not tell it, as on Windows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
