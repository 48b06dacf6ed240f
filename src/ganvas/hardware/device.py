"""Selection of device, precision and threads by vector instructions and bfloat16 support."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable

import torch

from ganvas.errors import ConfigError
from ganvas.hardware import Precision, PrecisionChoice

ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that limit the instructions oneDNN uses."""


def _uses_avx512() -> bool:
    limits = [os.environ.get(name, "").upper() for name in ISA_VARIABLES]
    allowed = all(not limit or limit in ("ALL", "DEFAULT") or "AVX512" in limit or "AVX10" in limit for limit in limits)
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and allowed


HAS_AVX512 = _uses_avx512()
"""Whether PyTorch and oneDNN use AVX-512 here; respects `ATEN_CPU_CAPABILITY` and the limits of oneDNN. A constant,
because compiled networks read it.
"""


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name; `auto` is CUDA if available, else Apple's MPS, else the CPU.

    `cuda` is the GPU of the local rank under `torchrun`.

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' is not available ({first}); use auto, cpu, cuda, cuda:1 or mps") from error
    return device


def cores_beside() -> int:
    """Return the number of threads for reading, gating and writing: half of torch's, at least one."""
    return max(1, torch.get_num_threads() // 2)


def cores_for_networks() -> int:
    """Return the number of threads for a translator's network: the other half.

    The number is the same for one picture and for many, because oneDNN's transposed convolutions round differently with
    other numbers.
    """
    return max(1, torch.get_num_threads() - cores_beside())


X86 = ("x86_64", "amd64", "i386", "i686")
ISA_WITHOUT_BFLOAT16 = ("AVX512_CORE", "AVX512_CORE_VNNI")
"""Limits under which oneDNN emulates bfloat16; under lower limits it reports no support."""
AMPERE = 8
"""Major compute capability of the first NVIDIA GPUs with bfloat16."""


def bfloat16_obstacle(device: torch.device) -> str | None:
    """Return why bfloat16 is slow on a device, or None if it is fast or, as on MPS, unknown.

    CPU features are those of PyTorch and oneDNN, which respect `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY`. Without
    native instructions oneDNN falls back to reference code that is up to 60 times slower than float32.
    """
    if device.type == "cpu":
        return _cpu_obstacle()
    if device.type == "cuda":
        if torch.version.hip or torch.cuda.get_device_properties(device).major >= AMPERE:
            return None
        return f"{torch.cuda.get_device_name(device)} has no bfloat16 arithmetic (NVIDIA GPUs have it since Ampere)"
    return None


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Return the precision to compute in.

    Args:
        choice: the requested precision.
        device: device of the networks.

    Raises:
        ConfigError: bfloat16 is requested and slow on that device.
    """
    if choice == "float32":
        return choice
    obstacle = bfloat16_obstacle(device)
    if choice == "auto":
        return "float32" if obstacle or device.type not in ("cpu", "cuda") else "bfloat16"
    if obstacle:
        raise ConfigError(
            f"precision bfloat16 is not fast here: {obstacle}; use --precision float32, or --precision auto, which "
            "selects bfloat16 only where it is fast"
        )
    return choice


def _cpu_obstacle() -> str | None:
    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    if not has_onednn():
        return "this build of PyTorch has no oneDNN"
    if platform.machine().lower() in X86 and not _has_avx512_bfloat16():
        return "this processor, with the limits set for PyTorch, has no AVX-512 bfloat16 instructions"
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "oneDNN has no bfloat16 for this processor"
    return None


def _has_avx512_bfloat16() -> bool:
    """Return whether the processor, PyTorch and the limit set for oneDNN all have AVX-512 with bfloat16."""
    limits = {os.environ.get(name, "").upper() for name in ISA_VARIABLES}
    capability = torch.backends.cpu.get_cpu_capability()
    native: bool = torch.cpu._is_avx512_bf16_supported()
    return native and capability == "AVX512" and not limits & set(ISA_WITHOUT_BFLOAT16)
