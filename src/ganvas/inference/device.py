"""Devices of inference: their choice, number of threads, and running out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganvas.errors import ConfigError, ImageError
from ganvas.hardware import Precision, PrecisionChoice
from ganvas.hardware.precision import choose_precision
from ganvas.image.picture import Picture

OUT_OF_MEMORY = ("out of memory", "allocate memory")
"""Parts of the error messages of CUDA, MPS and CPU; torch has no exception class for the latter two."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name; `auto` is CUDA if available, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"device '{name}' cannot be used here ({first}); give auto, cpu, cuda, cuda:1 or mps"
        ) from error
    return device


def pick_precision(choice: PrecisionChoice, device: str) -> Precision:
    """Return the precision to compute in on the device of that name.

    Raises:
        ConfigError: no such device, or bfloat16 is requested and not fast on it.
    """
    return choose_precision(choice, pick_device(device))


def cores_beside() -> int:
    """Return the number of threads for reading, gating and writing: half of torch's, at least one."""
    return max(1, torch.get_num_threads() // 2)


def cores_for_networks() -> int:
    """Return the number of threads for a translator's network: the other half.

    The same for one picture as for many: oneDNN's transposed convolutions round differently with another number.
    """
    return max(1, torch.get_num_threads() - cores_beside())


@contextmanager
def enough_memory(picture: Picture, device: torch.device) -> Iterator[None]:
    """Convert out-of-memory errors to an ImageError that names the remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        needed = f"{picture.width} x {picture.height} pixels need more memory than {device} has free"
        raise ImageError(picture.source, f"{needed}; translate it in (smaller) tiles, such as --tile 512") from error
