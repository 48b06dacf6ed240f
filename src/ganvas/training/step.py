"""Training step, which runs a method to its next `yield`, updates that player, and continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
from torch import Tensor, autocast, bfloat16, nn, optim
from torch.autograd import backward

from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.performance import recomputing, to_training_layout

Optimizers = Mapping[str, optim.Optimizer]
"""Player -> its optimizer."""
Forward = Callable[[str | None], AbstractContextManager[object]]
"""Function from the current player, None if not known yet, to the context of a forward pass."""


def make_optimizers(method: Method, settings: TrainingConfig) -> Optimizers:
    """Build one optimizer per player; a player without trainable parameters has none."""
    parameters = {player: method.player_parameters(player) for player in method.players}
    owned = {id(parameter) for group in parameters.values() for parameter in group}
    missing = [name for name, value in method.named_parameters() if value.requires_grad and id(value) not in owned]
    assert not missing, f"{type(method).__name__}: no player trains {missing}"
    return {player: _optimizer(group, settings) for player, group in parameters.items() if group}


def _optimizer(parameters: list[nn.Parameter], settings: TrainingConfig) -> optim.Optimizer:
    rate: float | Tensor = settings.learning_rate
    if settings.capture:  # a captured step reads the rate from memory
        rate = torch.tensor(rate, device=parameters[0].device)
    decay, capture = settings.weight_decay, settings.capture
    if settings.optimizer == "adam":
        return optim.Adam(parameters, lr=rate, betas=settings.betas, weight_decay=decay, fused=True, capturable=capture)
    return optim.RMSprop(parameters, lr=rate, weight_decay=decay, capturable=capture)


def set_rate(optimizers: Optimizers, rate: float) -> None:
    """Set the learning rate of every player."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def take_turns(
    method: Method,
    optimizers: Optimizers,
    batch: Batch,
    progress: Progress,
    *,
    settings: TrainingConfig,
    processes: Processes,
) -> dict[str, Tensor]:
    """Run one training step of a method.

    Args:
        method: the method to train.
        optimizers: one for each player.
        batch: this process's share of the batch.
        progress: images and steps so far.
        settings: precision, memory format and number of micro-batches.
        processes: the processes over which gradients are averaged.

    Returns:
        `<player>/<loss>` -> detached scalar, the mean over the micro-batches, still on the device.
    """
    micro_batches = split(to_training_layout(batch, settings), settings.accumulate)
    generators = set(method.generators)

    def forward(player: str | None) -> ExitStack:
        context = ExitStack()
        context.enter_context(autocast(processes.device.type, bfloat16, settings.precision == "bfloat16"))
        # One micro-batch's graph is freed before the next is built. Where this turn does not update the generators,
        # their graph must outlive it, so their activations are recomputed when they are updated; likewise in the first
        # micro-batch, whose player is not known before its forward pass.
        if len(micro_batches) > 1 and (player is None or not generators & set(method.players[player])):
            context.enter_context(recomputing([getattr(method, name) for name in method.generators]))
        return context

    return run_turns(
        [method.training_step(micro_batch, progress) for micro_batch in micro_batches],
        optimizers,
        forward=forward,
        world=processes.world,
        sum_gradients=processes.sum_gradients,
    )


def run_turns(
    steps: Sequence[Iterator[Turn]],
    optimizers: Optimizers,
    *,
    forward: Forward = nullcontext,
    world: int = 1,
    sum_gradients: Callable[[Sequence[nn.Parameter]], None] | None = None,
) -> dict[str, Tensor]:
    """Alternate between the turns of generators and the updates of their players, until the generators end.

    Args:
        steps: one generator of turns for each micro-batch; all yield the same players in the same order.
        optimizers: one for each player.
        forward: context in which the generators run; updates run outside it.
        world: number of processes over which gradients are averaged.
        sum_gradients: sums the gradients of parameters over the processes.

    Returns:
        `<player>/<loss>` -> detached scalar, the mean over the micro-batches, still on the device.
    """
    losses: dict[str, Tensor] = {}
    share = 1 / (len(steps) * world)
    first, *others = steps
    while (turn := _next_turn(first, forward(None))) is not None:
        # The first micro-batch determines the player and clears its gradients; the others add theirs
        player, optimizer = turn.player, optimizers[turn.player]
        optimizer.zero_grad()
        totals = _accumulate(turn, optimizer, share, len(steps))
        for step in others:
            other = _next_turn(step, forward(player))
            assert other is not None, "all micro-batches must yield the same turns"
            assert other.player == player, "all micro-batches must yield the same turns"
            for name, loss in _accumulate(other, optimizer, share, len(steps)).items():
                totals[name] = totals[name] + loss

        # One update with the gradient of the mean over the whole batch
        if sum_gradients is not None:
            sum_gradients(trained_by(optimizer))
        optimizer.step()
        losses |= totals
    for step in others:  # lines after the last `yield` run for every micro-batch
        assert _next_turn(step, forward(None)) is None, "all micro-batches must yield the same turns"
    return losses


def _next_turn(step: Iterator[Turn], context: AbstractContextManager[object]) -> Turn | None:
    with context:
        return next(step, None)


def _accumulate(turn: Turn, optimizer: optim.Optimizer, share: float, count: int) -> dict[str, Tensor]:
    """Add `share` times the gradients of a turn's losses, and return the losses divided by `count`."""
    roots = list(turn.losses.values())
    backward(roots, [torch.full_like(root, share) for root in roots], inputs=trained_by(optimizer))
    detached = {f"{turn.player}/{name}": loss.detach() for name, loss in turn.losses.items()}
    return {name: loss / count for name, loss in detached.items()} if count > 1 else detached


def trained_by(optimizer: optim.Optimizer) -> list[nn.Parameter]:
    """Return the parameters that this optimizer updates."""
    return [value for group in optimizer.param_groups for value in group["params"] if value.requires_grad]


def split(batch: Batch, count: int) -> list[Batch]:
    """Split a batch into `count` equal micro-batches, in order."""
    assert len(batch.a) % count == 0, "`TrainingConfig` and `join` check that"
    return [Batch(a, b) for a, b in zip(batch.a.chunk(count), batch.b.chunk(count), strict=True)]
