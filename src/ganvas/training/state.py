"""Training state, which checkpoints save and restore, with the moving average of the generators."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, optim

from ganvas.errors import DivergenceError, GanvasError, RunError
from ganvas.methods.base import Method, build
from ganvas.methods.config import differing_settings
from ganvas.runs.folder import STATE_NAME, Checkpoint, Counters, read_checkpoint
from ganvas.runs.published import is_published, run_name
from ganvas.runs.record import (
    check_like,
    check_picture_types,
    find_snapshot,
    generator_weights,
    load_weights,
    read_run_record,
    read_snapshot,
    save_snapshot,
)
from ganvas.serialization import from_record
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.dataset import Dataset
from ganvas.training.distributed import Processes, warn_of_batch_norm
from ganvas.training.monitoring import LossMeter
from ganvas.training.performance import place, uncompiled
from ganvas.training.schedule import Clock, num_images
from ganvas.training.step import Optimizers, make_optimizers


class Average:
    """Exponential moving average with a half-life in images, without bias towards the initial weights.

    After a batch of n images with N images seen in total, `average += (w - average) (1 - d(n)) / (1 - d(N))` with `d(n)
    = 0.5 ** (n / half_life)`: the exact weighted mean of all weights so far, at any batch size; the first batch sets it
    to the weights (the correction of Kingma & Ba 2015, Sec. 3, in images).

    Args:
        method: method whose generators are averaged.
        half_life: half-life in images; 0 disables the average.
    """

    def __init__(self, method: Method, half_life: float) -> None:
        self.half_life = half_life
        live = averaged_parameters(method) if half_life else {}
        self.weights = {name: value.detach().clone() for name, value in live.items()}
        """`<network>.<key>` -> averaged parameter; empty if the average is disabled."""
        self._averaged, self._live = list(self.weights.values()), [value.detach() for value in live.values()]

    @torch.no_grad()
    def update(self, *, images: int, images_seen: int) -> None:
        """Update with the weights after a batch of `images`, with `images_seen` in total, including this batch."""
        if not self.half_life:
            return
        share = (1 - 0.5 ** (images / self.half_life)) / (1 - 0.5 ** (images_seen / self.half_life))
        torch._foreach_lerp_(self._averaged, self._live, share)


def averaged_parameters(method: Method) -> dict[str, Tensor]:
    """Return `<network>.<key>` -> parameter of the generators; buffers are not averaged."""
    networks = {name: getattr(method, name) for name in method.generators}
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.named_parameters()}


@contextmanager
def evaluating(method: Method, average: Average) -> Iterator[Method]:
    """Switch the method to inference: averaged weights, eval mode, no gradients. The state is restored afterwards."""
    live = generator_weights(method)
    kept = {name: value.detach().clone() for name, value in live.items()}
    was_training = method.training
    with torch.no_grad():
        for name, value in average.weights.items():
            live[name].copy_(value)
        try:
            yield method.eval()
        finally:
            for name, value in kept.items():
                live[name].copy_(value)
            method.train(was_training)


@dataclass
class TrainingState:
    """Training state of a run. It contains no random generators, because the clock seeds each step.

    Attributes:
        method: method with its networks.
        optimizers: one optimizer for each player.
        average: moving average of the generators.
        meter: loss sums since the last row of metrics.
        clock: images, steps and seconds.
        best: metrics of the best validation; empty before the first.
        evaluation_due: whether the validation and preview grid at this image, which may fail, are still due.
        is_evaluated: whether a run that ends at this image needs no further evaluation.
        saved_images: images seen at the last checkpoint; None before the first.
        saved_seconds: seconds at the last checkpoint.
        reserved_seconds: time that the last checkpoint reserved for another step and the work after it.
    """

    method: Method
    optimizers: Optimizers
    average: Average
    meter: LossMeter
    clock: Clock = field(default_factory=Clock)
    best: dict[str, float] = field(default_factory=dict)
    evaluation_due: bool = False
    is_evaluated: bool = True
    saved_images: int | None = None
    saved_seconds: float = 0.0
    reserved_seconds: float = 0.0

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the state by their names in a checkpoint."""
        found = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        for player, optimizer in self.optimizers.items():
            for index, entry in optimizer.state_dict()["state"].items():
                found |= {f"optimizer/{player}/{index}/{name}": value for name, value in entry.items()}
        found |= {f"average/{name}": value for name, value in self.average.weights.items()}
        return found | {f"losses/{name}": value for name, value in self.meter.totals.items()}

    def counters(self, pictures: int) -> Counters:
        """Return the counters of a checkpoint; `pictures` is the size of the training split."""
        return Counters(
            images_seen=self.clock.images_seen,
            step=self.clock.step,
            seconds=self.clock.seconds,
            pictures=pictures,
            best=self.best,
            evaluation_due=self.evaluation_due,
            is_evaluated=self.is_evaluated,
            loss_counts=self.meter.counts,
            reserved=self.reserved_seconds,
        )

    def check_finite(self) -> None:
        """Check that all weights and moments are finite; synchronizes with the device.

        Raises:
            DivergenceError: names the first such tensor.
        """
        floats = {name: value for name, value in self.tensors().items() if value.is_floating_point() and value.numel()}
        device = next(self.method.parameters()).device  # some optimizers count their steps on the CPU
        largest = torch.stack([norm.to(device) for norm in torch._foreach_norm(list(floats.values()), torch.inf)])
        if not (fine := torch.isfinite(largest)).all():
            name = list(floats)[int(fine.logical_not().nonzero()[0])]
            raise DivergenceError(f"{name} became NaN or infinite by image {self.clock.images_seen:,}")

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Load a checkpoint that was read from `path`.

        Raises:
            RunError: the checkpoint has other networks, optimizers or another moving average, or is incomplete.
        """
        self._check_fit(checkpoint, path)
        try:
            self.method.load_state_dict(checkpoint.below("method"))
        except RuntimeError as error:
            raise RunError(f"{path} contains other networks than the run: {error}") from error
        for player, optimizer in self.optimizers.items():
            load_optimizer(optimizer, checkpoint.below(f"optimizer/{player}"), path)
        _load_average(self.average, checkpoint.below("average"), path)
        device = next(self.method.parameters()).device
        self.meter.totals = {name: value.to(device) for name, value in checkpoint.below("losses").items()}
        counters = checkpoint.counters
        self.meter.counts = dict(counters.loss_counts)
        self.clock = Clock(counters.images_seen, counters.step, counters.seconds)
        self.best = dict(counters.best)
        self.evaluation_due, self.is_evaluated = counters.evaluation_due, counters.is_evaluated
        self.saved_images, self.saved_seconds = counters.images_seen, counters.seconds
        self.reserved_seconds = counters.reserved

    @contextmanager
    def evaluating(self, *, compiled: bool) -> Iterator[Method]:
        """Switch to the method of a snapshot: averaged weights, evaluation mode, no gradients, no compilation.

        The clock is paused inside the block.
        """
        with self.clock.pause(), uncompiled(compiled), evaluating(self.method, self.average) as method:
            yield method

    def save_generators(self, path: Path) -> None:
        """Write a snapshot of the generators, averaged if an average is enabled."""
        save_snapshot(path, self.method, images_seen=self.clock.images_seen, weights=self.average.weights)

    def _check_fit(self, checkpoint: Checkpoint, path: Path) -> None:
        tensors = checkpoint.tensors
        own = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        for name in own.keys() & tensors.keys():
            check_like(name, tensors[name], own[name], path)
        players = {name.split("/")[1] for name in tensors if name.startswith("optimizer/")}
        if strange := sorted(players - self.optimizers.keys()):
            raise RunError(f"{path} contains the optimizer of {strange[0]}, which this run does not have")
        if not checkpoint.is_complete and (missing := sorted(self.optimizers.keys() - players)):
            raise RunError(f"{path} lacks the optimizer of {missing[0]}: the file is damaged; use a backup")


def open_state(config: RunConfig, run: Path, dataset: Dataset, processes: Processes) -> TrainingState:
    """Build the state of a run, and restore it from the checkpoint if there is one.

    Raises:
        RunError: the checkpoint is damaged, does not match the settings or the data, or is not visible to every
            process.
        ConfigError: the pictures have other types than those of the run.
    """
    path, pictures = run / STATE_NAME, dataset.loader.epoch_size
    is_resumed = path.exists()
    if is_resumed:  # before building networks, whose channels follow from the pictures
        check_picture_types(run, dataset.input_spec, dataset.output_spec)
    state = build_state(config, dataset, processes, is_resumed=is_resumed)
    if processes.first and (untrained := state.method.left_untrained(num_images(config.training.epochs, pictures))):
        warnings.warn(untrained, stacklevel=2)
    if processes.agree(is_resumed) != (is_resumed,):
        raise RunError(f"process {processes.rank} cannot access {path}; all processes must share the run folder")
    if is_resumed:
        checkpoint = read_checkpoint(path)
        state.restore(checkpoint, path)
        if checkpoint.counters.pictures != pictures:
            before = checkpoint.counters.pictures
            raise RunError(f"{run} was trained on {before} pictures, the data now has {pictures}")
    processes.broadcast(state.method)  # the same seed gives the same weights only on machines of the same kind
    return state


def build_state(
    config: RunConfig, dataset: Dataset, processes: Processes, *, is_resumed: bool = False
) -> TrainingState:
    """Build the untrained method with seeded weights on its device, with optimizers and averages.

    Args:
        config: method, data and training.
        dataset: data set, whose picture types determine the channels.
        processes: processes that train together.
        is_resumed: whether a checkpoint follows, so that the weights of `start_from` are not loaded.

    Raises:
        RunError: `start_from` is not a run, or has other generators.
    """
    torch.manual_seed(config.training.seed)
    method: Method = build(
        config.method,
        input_channels=dataset.input_spec.channels,
        output_channels=dataset.output_spec.channels,
        image_size=config.data.crop_size,
    )
    if config.training.start_from is not None and not is_resumed:
        snapshot = find_snapshot(config.training.start_from)
        weights, _ = read_snapshot(snapshot)
        try:
            load_weights(method, weights, source=snapshot)
        except RunError as error:
            raise name_differences(error, config.training.start_from, config, dataset) from error
    place(method, processes.device, config.training)
    parts = {"batch_size": config.training.batch_size, "accumulate": config.training.accumulate}
    warn_of_batch_norm(method, processes, **parts)
    optimizers = make_optimizers(method, config.training)
    return TrainingState(method, optimizers, Average(method, config.training.ema_half_life), LossMeter(processes))


def name_differences(error: RunError, start: Path, config: RunConfig, dataset: Dataset) -> RunError:
    """Return the error with what differs from the run to start from: method, channels, generator or crops."""
    try:
        record = read_run_record(start)
    except GanvasError:
        return error
    kinds = [type(each).__name__.removesuffix("Config") for each in (record.method, config.method)]
    channels = [(record.input.channels, record.output.channels)]
    channels += [(dataset.input_spec.channels, dataset.output_spec.channels)]
    if kinds[0] != kinds[1]:
        differing = [f"method {kinds[0]}, not {kinds[1]}"]
    else:
        differing = differing_settings(record.method, config.method)
    if channels[0] != channels[1]:
        differing.append(f"{channels[0][0]} to {channels[0][1]} channels, not {channels[1][0]} to {channels[1][1]}")
    if not differing and record.image_size != config.data.crop_size:
        differing = [f"crop_size {record.image_size}, not {config.data.crop_size}"]
    return RunError(f"{error}\n{run_name(start)} has {'; '.join(differing)}") if differing else error


def load_optimizer(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load moments by parameter index, in the parameter's memory format; the optimizer keeps its settings.

    Raises:
        RunError: an entry belongs to no parameter, or does not match its parameter.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        if not (index.isascii() and index.isdigit() and int(index) < len(parameters)):
            raise RunError(f"{path}: the optimizer's entry {name} belongs to no parameter of the run")
        like = parameters[int(index)]
        same = value.shape == like.shape
        if not value.is_floating_point() or not (same or value.numel() == 1):
            raise RunError(f"{path}: the optimizer's entry {name} does not match its parameter; the file is damaged")
        entries.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(value).detach() if same else value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _load_average(average: Average, tensors: Mapping[str, Tensor], path: Path) -> None:
    if set(tensors) != set(average.weights):
        raise RunError(f"{path} contains another moving average than the run; do not change ema_half_life")
    for name, value in average.weights.items():
        check_like(f"average/{name}", tensors[name], value, path)
        value.copy_(tensors[name])


def read_config(run: Path) -> RunConfig:
    """Return the config with which the run in this folder was started.

    Raises:
        RunError: the folder is not a run, or an imported run.
    """
    record = read_run_record(run)
    if record.training is None or record.data is None:
        if is_published(run):
            raise RunError(
                f"{run_name(run)} was published without its training state, so it cannot be resumed; a new run can "
                "start from it: ganvas train ... --start-from"
            )
        raise RunError(f"{run} was not trained by ganvas, so it cannot be resumed")
    training = from_record(TrainingConfig, record.training)
    return RunConfig(method=record.method, data=record.data, training=training)
