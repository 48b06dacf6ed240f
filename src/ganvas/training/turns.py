"""The engine's contact with a method: run to the next `yield`, update that player, go on."""

from __future__ import annotations

from torch import Tensor, autocast, bfloat16, nn, optim, stack
from torch.autograd import backward

from ganvas.methods.base import Batch, Method, Progress
from ganvas.training.config import TrainingConfig
from ganvas.training.distributed import Processes

Optimizers = dict[str, optim.Optimizer]


def make_optimizers(method: Method, settings: TrainingConfig) -> Optimizers:
    """One optimizer a player; a player with nothing to train has none."""
    parameters = {player: method.player_parameters(player) for player in method.players}
    owned = {id(parameter) for group in parameters.values() for parameter in group}
    missing = [name for name, value in method.named_parameters() if value.requires_grad and id(value) not in owned]
    assert not missing, f"{type(method).__name__}: no player trains {missing}"
    return {player: _optimizer(group, settings) for player, group in parameters.items() if group}


def _optimizer(parameters: list[nn.Parameter], settings: TrainingConfig) -> optim.Optimizer:
    if settings.optimizer == "adam":
        return optim.Adam(parameters, lr=settings.learning_rate, betas=settings.betas, fused=True)
    return optim.RMSprop(parameters, lr=settings.learning_rate)


def set_rate(optimizers: Optimizers, rate: float) -> None:
    """Give every player this learning rate."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
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
    """One training step.

    Args:
        method: whose step it is.
        optimizers: one a player.
        batch: this process's share.
        progress: where training stands.
        settings: of which the precision counts here.
        processes: over which gradients are averaged.

    Returns:
        `<player>/<loss>` -> detached scalar, still on the device.
    """
    losses: dict[str, Tensor] = {}
    turns = method.training_step(batch, progress)
    while True:
        with autocast(processes.device.type, dtype=bfloat16, enabled=settings.precision == "bfloat16"):
            turn = next(turns, None)
        if turn is None:
            return losses
        optimizer, parameters = optimizers[turn.player], method.player_parameters(turn.player)
        optimizer.zero_grad()
        backward(stack(list(turn.losses.values())).sum(), inputs=parameters)
        processes.average_gradients(parameters)
        optimizer.step()
        losses |= {f"{turn.player}/{name}": loss.detach() for name, loss in turn.losses.items()}
