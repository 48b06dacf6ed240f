"""Description of the machine, its measured peak rate of matrix products, and the memory of a process."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from measure.table import Table
from measure.timing import timer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIZES = {"cpu": ((256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 512, 512)),
         "cuda": ((4096, 4096, 4096), (8192, 8192, 8192), (16384, 4096, 4096))}  # fmt: skip
"""(m, k, n) of the products (m, k) times (k, n), the fastest of which is the peak; small ones fit into the caches."""
STATUS = Path("/proc/self/status")


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precisions() -> dict[str, str]:
    """Return precision -> the reason why it cannot be measured here; empty if it can."""
    from ganvas.hardware.device import bfloat16_obstacle

    return {"float32": "", "bfloat16": bfloat16_obstacle(device()) or ""}


def measured_precisions(table: Table) -> list[str]:
    """Return the precisions that can be measured; notes below the table give the reasons for the others."""
    found = precisions()
    table.notes += [f"No rows for {name}: {reason}." for name, reason in found.items() if reason]
    return [name for name, reason in found.items() if not reason]


def finish() -> None:
    """Wait until the GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def describe() -> dict[str, Any]:
    """Return a description of machine and software for a record of measurements."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def matmul_peak(precision: str, *, seconds: float = 0.5) -> float:
    """Return the operations per second of the fastest matrix product; each size and library runs for `seconds`.

    On a CPU two libraries are measured: that of torch.mm may not use the full vector width of the processor, and
    convolutions use oneDNN. On a GPU float32 may use TF32 here, as convolutions do by default.
    """
    where, before = device(), torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        products = [made for size in SIZES[where.type] for made in _products(size, DTYPES[precision], where)]
        return max(operations / _fastest(work, seconds) for operations, work in products)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _products(
    size: tuple[int, int, int], dtype: torch.dtype, where: torch.device
) -> list[tuple[int, Callable[[], object]]]:
    """Return the number of operations of a product, and a function that computes it, for each library."""
    m, k, n = size
    a, b = torch.randn(m, k, device=where).to(dtype), torch.randn(k, n, device=where).to(dtype)
    out = torch.empty(m, n, device=where, dtype=dtype)
    made: list[tuple[int, Callable[[], object]]] = [(2 * m * k * n, lambda: torch.mm(a, b, out=out))]
    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    if where.type == "cpu" and has_onednn():
        rows, columns = a.to_mkldnn(), b.T.contiguous().to_mkldnn()
        made.append((2 * m * k * n, torch.inference_mode()(lambda: functional.linear(rows, columns))))
    return made


def _fastest(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of the fastest call."""
    timed, fastest, begun = timer(work, finish), float("inf"), time.perf_counter()
    timed(1)
    while time.perf_counter() - begun < seconds:
        fastest = min(fastest, timed(1))
    return fastest


def peak_bytes_of(work: Callable[[], object]) -> int:
    """Return the peak memory during `work` above that before: of the GPU if there is one, else of the process.

    Raises:
        RuntimeError: this system does not report a peak that can be reset.
    """
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        finish()
        return torch.cuda.max_memory_allocated() - before
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # else free memory of the heap hides allocations
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    work()
    return resident_bytes("VmHWM") - before


def most_of(field: str, work: Callable[[], object], *, every: float = 0.005) -> int:
    """Return the maximum of `resident_bytes(field)` during `work`, for fields without a peak in /proc."""
    most, over = [resident_bytes(field)], threading.Event()

    def watch() -> None:
        while not over.wait(every):
            most[0] = max(most[0], resident_bytes(field))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return most[0]


def resident_bytes(field: str) -> int:
    """Return memory of this process: VmRSS now, VmHWM its peak so far, RssAnon without mapped files."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"{STATUS} does not report {field}")
