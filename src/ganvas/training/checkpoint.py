"""The whole training state in one atomic safetensors file: nothing is unpickled, nothing is half written.

Its tensors are `method/<key>`, `optimizer/<player>/<index>/<key>`, `average/<key>` and `losses/<name>`; its metadata is
JSON with the counters. Random numbers need no entry: each step's noise is seeded from the images seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganvas.errors import DivergenceError, RunError
from ganvas.methods.base import Method
from ganvas.records import from_record, to_record
from ganvas.tensor_files import save_tensors
from ganvas.training.ema import Average
from ganvas.training.meter import LossMeter
from ganvas.training.turns import Optimizers

STATE_NAME = "state.safetensors"
STATE_FORMAT = "ganvas training state 1"


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The numbers of a state."""

    images_seen: int = 0
    step: int = 0
    seconds: float = 0.0
    """Trained so far, over all resumptions."""
    pictures: int
    """Training pictures, so that a run is not continued on other data."""
    best: dict[str, float] = field(default_factory=dict)
    """The best validation so far: images, psnr, ssim, l1."""
    evaluation_due: bool = False
    """The validation and the preview grid of this moment, which may fail, are still to be made."""
    loss_counts: dict[str, int] = field(default_factory=dict)
    """Steps summed in each loss since the last row of metrics."""
    reserved: float = 0.0
    """Seconds that another step and the last validation, sample grid and checkpoint were expected to take."""


@dataclass(frozen=True)
class TrainingState:
    """Everything with tensors that a run carries on."""

    method: Method
    optimizers: Optimizers
    average: Average
    meter: LossMeter

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by its name in the file."""
        found = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        for player, optimizer in self.optimizers.items():
            for index, entry in optimizer.state_dict()["state"].items():
                found |= {f"optimizer/{player}/{index}/{name}": value for name, value in entry.items()}
        found |= {f"average/{name}": value for name, value in self.average.weights.items()}
        return found | {f"losses/{name}": value for name, value in self.meter.totals.items()}

    def check_finite(self, images_seen: int) -> None:
        """Raise if any weight or moment is not finite. Waits for the device.

        Raises:
            DivergenceError: names the first such tensor.
        """
        floats = {name: value for name, value in self.tensors().items() if value.is_floating_point() and value.numel()}
        device = next(self.method.parameters()).device  # some optimizers count their steps on the CPU
        largest = torch.stack([norm.to(device) for norm in torch._foreach_norm(list(floats.values()), torch.inf)])
        if not (fine := torch.isfinite(largest)).all():
            name = list(floats)[int(fine.logical_not().nonzero()[0])]
            raise DivergenceError(f"{name} became NaN or infinite by image {images_seen:,}")


def save_state(path: Path, state: TrainingState, counters: Counters) -> None:
    """Write the state atomically: after a crash there is the old file or the new one."""
    save_tensors(path, state.tensors(), {"format": STATE_FORMAT, "counters": json.dumps(to_record(counters))})


def load_state(path: Path, state: TrainingState) -> Counters:
    """Bring `state` to what the file holds.

    Raises:
        RunError: no state, a damaged one, or one of other networks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != STATE_FORMAT:
                raise RunError(f"{path} is not a training state of this ganvas ('{STATE_FORMAT}')")
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as a training state: {error}") from error
    counters = from_record(Counters, json.loads(metadata["counters"]))
    try:
        state.method.load_state_dict(_under("method", tensors))
    except RuntimeError as error:
        raise RunError(f"{path} holds other networks than the run's: {error}") from error
    for player, optimizer in state.optimizers.items():
        load_optimizer(optimizer, _under(f"optimizer/{player}", tensors))
    _load_average(state.average, _under("average", tensors), path)
    device = next(state.method.parameters()).device
    state.meter.totals = {name: value.to(device) for name, value in _under("losses", tensors).items()}
    state.meter.counts = dict(counters.loss_counts)
    return counters


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors below `prefix/`, named without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Moments by parameter index, in the parameter's order of memory; the settings stay the run's own."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        like = parameters[int(index)]
        same = value.shape == like.shape
        entries.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(value).detach() if same else value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _load_average(average: Average, tensors: Mapping[str, Tensor], path: Path) -> None:
    if set(tensors) != set(average.weights):
        raise RunError(f"{path} holds another moving average than the run's; keep ema_half_life as it was")
    for name, value in average.weights.items():
        value.copy_(tensors[name])
