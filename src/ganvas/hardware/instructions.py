"""Vector instructions that convolutions use on this processor."""

from __future__ import annotations

import os

import torch

ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that limit the instructions oneDNN uses."""


def _uses_avx512() -> bool:
    limits = [os.environ.get(name, "").upper() for name in ISA_VARIABLES]
    allowed = all(not limit or limit in ("ALL", "DEFAULT") or "AVX512" in limit or "AVX10" in limit for limit in limits)
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and allowed


HAS_AVX512 = _uses_avx512()
"""Whether PyTorch and oneDNN use AVX-512 here; `ATEN_CPU_CAPABILITY` and the limits of oneDNN count.

A constant, because compiled networks read it.
"""
