"""The machine and the software that a demo ran on, in words."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux names the processor."""


def describe_machine(today: date | None = None) -> dict[str, str]:
    """Return date (ISO 8601), processor, cores, system, and the versions of ganvas, PyTorch and Python."""
    return {
        "date": (today or date.today()).isoformat(),
        "processor": processor_name(),
        "cores": str(os.cpu_count() or 1),
        "system": f"{platform.system()} {platform.machine()}",
        "ganvas": version("ganvas"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }


def processor_name(info: Path = CPU_INFO) -> str:
    """Return the processor's name, or its architecture where the system does not tell the name."""
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
