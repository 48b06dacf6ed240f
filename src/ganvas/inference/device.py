"""Which device to compute on."""

from __future__ import annotations

import torch

from ganvas.errors import ConfigError


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
