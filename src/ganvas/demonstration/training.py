"""Training of the demonstration's two models within a time budget."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from ganvas.data.config import PairedData
from ganvas.demonstration.photographs import BLOCK, PHOTOGRAPHS
from ganvas.hardware.threads import given_threads
from ganvas.methods import Pix2PixConfig
from ganvas.recipes import restore
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.report import TrainingResult

PROBE_MINUTES = 0.05
"""Of training, to learn how many images fit the time on this machine, so that the rate can fall to 0 in it."""


def learn(config: RunConfig, run: Path, *, minutes: float, probe: Path) -> TrainingResult:
    """Train a run for about that long.

    Args:
        config: of the run, but for its length.
        run: the run folder to make.
        minutes: of training, the probes included.
        probe: a folder for trials, removed again.
    """
    rate = quickest(config, probe)
    num_photographs = sum(photograph.split == "train" for photograph in PHOTOGRAPHS)
    epochs = rate * 60 * (minutes - 2 * PROBE_MINUTES) / num_photographs
    # The limit in minutes holds where the machine became slower after the probe.
    training = replace(config.training, epochs=max(epochs, 1.0), minutes=1.1 * minutes)
    return go_through(train(replace(config, training=training), run))


def quickest(config: RunConfig, probe: Path) -> float:
    """Return the images a second of the fastest number of threads, all or one, which the training chooses by itself."""
    given = given_threads()
    counts = {1, torch.get_num_threads()} if given is None else {given}
    return max(
        trial(replace(config, training=replace(config.training, threads=threads)), probe) for threads in sorted(counts)
    )


def trial(config: RunConfig, folder: Path) -> float:
    """Measure images per second in a few seconds of training."""
    short = replace(config, training=replace(config.training, minutes=PROBE_MINUTES, validation_pictures=1))
    try:
        return go_through(train(short, folder, quiet=True)).images_per_second
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def go_through(result: TrainingResult) -> TrainingResult:
    """Return the result; raise KeyboardInterrupt where training was interrupted."""
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    return result


def demo_config(photographs: Path, *, adversarial_weight: float, start_from: Path | None = None) -> RunConfig:
    """Return the recipe `restore` on crops at the photographs' own size.

    Upsampling resizes: in so short a training the adversarial term draws checkerboards with transposed convolutions.

    Args:
        photographs: the folder to train on.
        adversarial_weight: 0: L1 alone.
        start_from: a run whose weights are the first ones.
    """
    config, every = restore(), 10_000
    assert isinstance(config.method, Pix2PixConfig), config
    assert isinstance(config.data, PairedData), config
    method = replace(config.method, depth=3, upsampling="resize", receptive_field=34)
    return replace(
        config,
        method=replace(method, adversarial_weight=adversarial_weight),
        data=replace(config.data, folder=photographs, resize="none", strength=(BLOCK, BLOCK)),
        training=replace(
            config.training, epochs=1e6, learning_rate=1e-3 if adversarial_weight == 0 else 4e-4, constant_fraction=0.3,
            start_from=start_from, sample_every=every, validate_every=every, checkpoint_every=every, log_every=320,
        ),
    )  # fmt: skip
