"""Checkpoints: the whole training state in one safetensors file, written atomically and without pickle.

Its tensors are `method/<key>`, `optimizer/<player>/<index>/<key>`, `average/<key>` and `losses/<name>`; its metadata is
JSON with the counters. Random numbers need no entry: each step's noise is seeded from the images seen.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from ganvas.errors import DivergenceError, RunError
from ganvas.inference.record import UNREADABLE, check_like
from ganvas.methods.base import Method
from ganvas.serialization import from_record, parse_json, save_tensors, to_record
from ganvas.training.ema import Average
from ganvas.training.monitoring import LossMeter
from ganvas.training.step import Optimizers

STATE_NAME = "state.safetensors"
STATE_FORMAT = "ganvas training state 1"
MOST = 2**53
"""Counts and seconds from here on are absurd."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The counters of a checkpoint."""

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

    def __post_init__(self) -> None:
        counts = {"images_seen": self.images_seen, "step": self.step, "pictures": self.pictures, **self.loss_counts}
        if odd := [f"{name} {count}" for name, count in counts.items() if not 0 <= count < MOST]:
            raise RunError(f"{odd[0]} is no count")
        if not 0 <= self.seconds < MOST:
            raise RunError(f"seconds {self.seconds} is no time")
        if self.best and not {"images", "psnr"} <= self.best.keys():
            raise RunError("best lacks images or psnr")
        if any(math.isnan(value) for value in self.best.values()):
            raise RunError("best holds a NaN")


@dataclass(frozen=True)
class TrainingState:
    """The tensors of a run: networks, optimizers, moving average and loss sums."""

    method: Method
    optimizers: Optimizers
    average: Average
    meter: LossMeter

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state by its name in the file."""
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
    tensors = state.tensors()
    metadata = {"format": STATE_FORMAT, "counters": json.dumps(to_record(counters)), "names": _hash_names(tensors)}
    save_tensors(path, tensors, metadata)


def _hash_names(tensors: Iterable[str]) -> str:
    """Return the SHA-256 of all names: which moments an optimizer has cannot be told from the networks."""
    return hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()


def load_state(path: Path, state: TrainingState) -> Counters:
    """Load `state` from a file.

    Raises:
        RunError: no state, a damaged one, or one of other networks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != STATE_FORMAT:
                raise RunError(f"{path} is not a training state of this ganvas ('{STATE_FORMAT}')")
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except UNREADABLE as error:
        raise RunError(f"{path} cannot be read as a training state: {error}") from error
    counters = _read_counters(metadata, path)
    _check_tensors(tensors, metadata, counters, state, path)
    try:
        state.method.load_state_dict(_under("method", tensors))
    except RuntimeError as error:
        raise RunError(f"{path} holds other networks than the run's: {error}") from error
    for player, optimizer in state.optimizers.items():
        load_optimizer(optimizer, _under(f"optimizer/{player}", tensors), path)
    _load_average(state.average, _under("average", tensors), path)
    device = next(state.method.parameters()).device
    state.meter.totals = {name: value.to(device) for name, value in _under("losses", tensors).items()}
    state.meter.counts = dict(counters.loss_counts)
    return counters


def _read_counters(metadata: Mapping[str, str], path: Path) -> Counters:
    try:
        return from_record(Counters, parse_json(metadata.get("counters", "")))
    except ValueError as error:
        raise RunError(f"{path}: its counters cannot be read: {error}") from error


def _check_tensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], counters: Counters, state: TrainingState, path: Path
) -> None:
    """Raise RunError where tensors are missing or more than were saved, or are of other kinds than the run's."""
    names = metadata.get("names")  # None in states that earlier versions wrote
    if names is not None and names != _hash_names(tensors):
        raise RunError(f"{path} lacks tensors that were saved, or holds others: the file is damaged; take a copy of it")
    own = {f"method/{name}": value for name, value in state.method.state_dict().items()}
    for name in own.keys() & tensors.keys():
        check_like(name, tensors[name], own[name], path)
    players = {name.split("/")[1] for name in tensors if name.startswith("optimizer/")}
    if strange := sorted(players - state.optimizers.keys()):
        raise RunError(f"{path} holds the optimizer of {strange[0]}, which this run does not have")
    if names is None and (missing := sorted(state.optimizers.keys() - players)):
        raise RunError(f"{path} lacks the optimizer of {missing[0]}: the file is damaged; take a copy of it")
    losses = _under("losses", tensors)
    sums = all(value.shape == () and value.is_floating_point() for value in losses.values())
    if losses.keys() != counters.loss_counts.keys() or not sums:
        raise RunError(f"{path}: its sums of losses do not fit its counters; the file is damaged")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors below `prefix/`, named without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load moments by parameter index, in the parameter's memory format; the settings stay the run's own.

    Raises:
        RunError: an entry is of no parameter, or does not fit its parameter.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        if not (index.isascii() and index.isdigit() and int(index) < len(parameters)):
            raise RunError(f"{path}: the optimizer's entry {name} is of no parameter of the run")
        like = parameters[int(index)]
        same = value.shape == like.shape
        if not value.is_floating_point() or not (same or value.numel() == 1):
            raise RunError(f"{path}: the optimizer's entry {name} does not fit its parameter; the file is damaged")
        entries.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(value).detach() if same else value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _load_average(average: Average, tensors: Mapping[str, Tensor], path: Path) -> None:
    if set(tensors) != set(average.weights):
        raise RunError(f"{path} holds another moving average than the run's; keep ema_half_life as it was")
    for name, value in average.weights.items():
        check_like(f"average/{name}", tensors[name], value, path)
        value.copy_(tensors[name])
