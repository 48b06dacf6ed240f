"""Training step: run a method to its next `yield`, update that player, continue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, autocast, bfloat16, nn, optim
from torch.autograd import backward

from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.performance.compilation import laid_out
from ganvas.training.performance.memory import recomputing

Optimizers = dict[str, optim.Optimizer]


def make_optimizers(method: Method, settings: TrainingConfig) -> Optimizers:
    """Build one optimizer per player; a player without trainable parameters has none."""
    parameters = {player: method.player_parameters(player) for player in method.players}
    owned = {id(parameter) for group in parameters.values() for parameter in group}
    missing = [name for name, value in method.named_parameters() if value.requires_grad and id(value) not in owned]
    assert not missing, f"{type(method).__name__}: no player trains {missing}"
    return {player: _optimizer(group, settings) for player, group in parameters.items() if group}


def _optimizer(parameters: list[nn.Parameter], settings: TrainingConfig) -> optim.Optimizer:
    rate: float | Tensor = settings.learning_rate
    if settings.capture:  # a recorded step reads the rate from memory
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
    """Run one training step.

    With `accumulate` the batch goes through in parts: each turn's gradient is summed over the parts before its one
    update, so that it is the gradient of the mean over the whole batch.

    Args:
        method: whose step it is.
        optimizers: one a player.
        batch: this process's share.
        progress: where training stands.
        settings: of which precision, layout and parts count here.
        processes: over which gradients are averaged.

    Returns:
        `<player>/<loss>` -> detached scalar, the mean over the parts, still on the device.
    """
    losses: dict[str, Tensor] = {}
    parts = split(laid_out(batch, settings), settings.accumulate)
    steps = [method.training_step(part, progress) for part in parts]
    share = 1 / (len(parts) * processes.world)
    while True:
        player, turn_losses = _gradients(method, optimizers, steps, share, settings=settings, processes=processes)
        if player is None:
            return losses
        processes.sum_gradients(trained_by(optimizers[player]))
        optimizers[player].step()
        losses |= turn_losses


def _gradients(
    method: Method,
    optimizers: Optimizers,
    steps: Sequence[Iterator[Turn]],
    share: float,
    *,
    settings: TrainingConfig,
    processes: Processes,
) -> tuple[str | None, dict[str, Tensor]]:
    """Run the next turn of every part and sum the gradients, each times `share`; return the player and its losses.

    One part's graph is let go before the next is made. Where the generators do not move in this turn theirs must live
    longer, so they are made again when they move; the first part, of which no turn is known yet, always.
    """
    player, losses, kept_longer = None, dict[str, Tensor](), True
    for step in steps:
        with ExitStack() as forward:
            forward.enter_context(autocast(processes.device.type, bfloat16, settings.precision == "bfloat16"))
            if len(steps) > 1 and kept_longer:
                forward.enter_context(recomputing([getattr(method, name) for name in method.generators]))
            turn = next(step, None)
        if turn is None:
            continue
        if player is None:
            player = turn.player
            optimizers[player].zero_grad()
            kept_longer = not set(method.generators) & set(method.players[player])
        assert turn.player == player, "all parts of a batch take the same turns"
        roots = list(turn.losses.values())
        backward(roots, [torch.full_like(root, share) for root in roots], inputs=trained_by(optimizers[player]))
        for name, loss in turn.losses.items():
            told, part = f"{player}/{name}", loss.detach() / len(steps) if len(steps) > 1 else loss.detach()
            losses[told] = losses[told] + part if told in losses else part
    return player, losses


def trained_by(optimizer: optim.Optimizer) -> list[nn.Parameter]:
    """Return the parameters that it moves now."""
    return [value for group in optimizer.param_groups for value in group["params"] if value.requires_grad]


def split(batch: Batch, parts: int) -> list[Batch]:
    """Return equal parts, in order."""
    assert len(batch.a) % parts == 0, "the configuration and `join` see to it"
    return [Batch(a, b) for a, b in zip(batch.a.chunk(parts), batch.b.chunk(parts), strict=True)]
