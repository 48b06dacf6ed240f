"""Training state: what a checkpoint saves and a resumption restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, optim

from ganvas.errors import DivergenceError, RunError
from ganvas.methods.base import Method
from ganvas.runs.checkpoint import Checkpoint
from ganvas.runs.record import read_run_record
from ganvas.runs.snapshots import check_like
from ganvas.serialization import from_record
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.ema import Average
from ganvas.training.monitoring import LossMeter
from ganvas.training.step import Optimizers


@dataclass(frozen=True)
class TrainingState:
    """The tensors of a run: networks, optimizers, moving average and loss sums."""

    method: Method
    optimizers: Optimizers
    average: Average
    meter: LossMeter

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state by its name in a checkpoint."""
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

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Load the tensors of a checkpoint, which was read from `path`.

        Raises:
            RunError: the checkpoint is of other networks, optimizers or another moving average, or incomplete.
        """
        self._check_fit(checkpoint, path)
        try:
            self.method.load_state_dict(checkpoint.below("method"))
        except RuntimeError as error:
            raise RunError(f"{path} holds other networks than the run's: {error}") from error
        for player, optimizer in self.optimizers.items():
            load_optimizer(optimizer, checkpoint.below(f"optimizer/{player}"), path)
        _load_average(self.average, checkpoint.below("average"), path)
        device = next(self.method.parameters()).device
        self.meter.totals = {name: value.to(device) for name, value in checkpoint.below("losses").items()}
        self.meter.counts = dict(checkpoint.counters.loss_counts)

    def _check_fit(self, checkpoint: Checkpoint, path: Path) -> None:
        tensors = checkpoint.tensors
        own = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        for name in own.keys() & tensors.keys():
            check_like(name, tensors[name], own[name], path)
        players = {name.split("/")[1] for name in tensors if name.startswith("optimizer/")}
        if strange := sorted(players - self.optimizers.keys()):
            raise RunError(f"{path} holds the optimizer of {strange[0]}, which this run does not have")
        if not checkpoint.is_complete and (missing := sorted(self.optimizers.keys() - players)):
            raise RunError(f"{path} lacks the optimizer of {missing[0]}: the file is damaged; take a copy of it")


def load_optimizer(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load moments by parameter index, in the parameter's memory format; the settings stay the run's own.

    Raises:
        RunError: an entry belongs to no parameter, or does not fit its parameter.
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


def read_config(run: Path) -> RunConfig:
    """Return the config that the run in this folder was started with.

    Raises:
        RunError: not a run, or one that was not trained here (an imported one).
    """
    record = read_run_record(run)
    if record.training is None or record.data is None:
        raise RunError(f"{run} was not trained by ganvas, so there is nothing to resume")
    training = from_record(TrainingConfig, record.training)
    return RunConfig(method=record.method, data=record.data, training=training)
