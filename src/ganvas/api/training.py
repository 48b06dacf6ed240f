"""Verbs that make runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.api.words import Checkpoints, RunFolder, Threads
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads

if TYPE_CHECKING:
    from ganvas.training.config import RunConfig
    from ganvas.training.result import TrainingResult


def train(config: RunConfig, out: Path, /) -> TrainingResult:
    """Train a run into the folder `out`.

    Args:
        config: method, data and training; see `ganvas.recipes` for complete ones.
        out: the run folder to make.

    Raises:
        GanvasError: see `ganvas.training.loop.train`.
    """
    from ganvas.training.loop import train as train_run

    with using_threads(config.training.threads):
        return train_run(config, out)


def resume(
    run: RunFolder,
    /,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    learning_rate: float | None = None,
    precision: PrecisionChoice | None = None,
    device: str | None = None,
    threads: Threads = None,
    data: Path | None = None,
) -> TrainingResult:
    """Go on with a run that was stopped; it ends as if it had not been, unless a setting is changed.

    Args:
        run: its folder, which says what it trains.
        epochs: train until so many, instead of as first said.
        minutes: train until so many in all, instead of as first said.
        learning_rate: from here on; a lower one where losses became NaN.
        precision: of the forward passes from here on; auto is bfloat16 where that is fast.
        device: auto, cpu, cuda, cuda:1 or mps.
        threads: of the CPU from here on; unset: as first said, or as many as are fastest.
        data: where the training data lies now, if it was moved.
    """
    from ganvas.training.loop import train as train_run
    from ganvas.training.run_folder import read_config

    config = read_config(run)
    before = config.training
    training = replace(
        before,
        epochs=before.epochs if epochs is None else epochs,
        minutes=before.minutes if minutes is None else minutes,
        learning_rate=before.learning_rate if learning_rate is None else learning_rate,
        precision=precision or before.precision,
        device=device or before.device,
        threads=before.threads if threads is None else threads,
    )
    moved = config.data if data is None else replace(config.data, folder=data)
    with using_threads(training.threads):
        return train_run(replace(config, training=training, data=moved), run, resume=True)


def import_reference(
    checkpoints: Checkpoints, /, *, out: Path, dropout: float | None = None,
    cycle_weight_a: float | None = None, cycle_weight_b: float | None = None, identity_weight: float | None = None,
) -> str:  # fmt: skip
    """Read checkpoints of the reference PyTorch pix2pix, CycleGAN or CUT code into a run folder.

    Args:
        checkpoints: in any order, a pix2pix's latest_net_G.pth and, if wanted, D; or a CycleGAN's latest_net_G_A.pth
            and G_B and, if wanted, D_A and D_B; or one generator or one discriminator alone.
        out: the folder to make: a run, or of a discriminator alone its weights and discriminator.json.
        dropout: of the generator, where its file cannot tell.
        cycle_weight_a: the lambda_A that a CycleGAN was trained with, which no file tells; unset: 10.
        cycle_weight_b: its lambda_B; unset: 10.
        identity_weight: its lambda_identity; unset: 0.5.
    """
    from ganvas.interop.import_checkpoints import import_checkpoints

    return "\n".join(
        import_checkpoints(
            checkpoints,
            out,
            dropout=dropout,
            cycle_weight_a=cycle_weight_a,
            cycle_weight_b=cycle_weight_b,
            identity_weight=identity_weight,
        )
    )
