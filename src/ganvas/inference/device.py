"""Which device to compute on."""

from __future__ import annotations

import torch

from ganvas.errors import ConfigError
from ganvas.hardware import Precision, PrecisionChoice
from ganvas.hardware.precision import choose_precision


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA where there is one, else Apple's MPS, else the CPU; any other name is taken as it is.

    Raises:
        ConfigError: the name means nothing, or this machine has no such device.
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
        ConfigError: no such device, or bfloat16 is asked for and not fast on it.
    """
    return choose_precision(choice, pick_device(device))


def cores_beside() -> int:
    """Threads that read, judge and write pictures while networks compute: half of what torch may use, at least one."""
    return max(1, torch.get_num_threads() // 2)


def cores_for_networks() -> int:
    """Threads that a translator's network computes with: the other half.

    The same for one picture as for many: oneDNN's transposed convolutions round differently with another number.
    """
    return max(1, torch.get_num_threads() - cores_beside())
