"""The machine and the software that a demo ran on, in words."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import version

from ganvas.hardware.processor import core_count, processor_name


def describe_machine(today: date | None = None) -> dict[str, str]:
    """Return date (ISO 8601), processor, cores, system, and the versions of ganvas, PyTorch and Python."""
    return {
        "date": (today or date.today()).isoformat(),
        "processor": processor_name(),
        "cores": str(core_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "ganvas": version("ganvas"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }
