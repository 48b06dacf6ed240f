"""Training of the tiny run: `python train_tiny.py DATA RUN [kills SEED]`, for the tests of killing and of torchrun.

Trains pix2pix on pairs, or CycleGAN on unpaired pictures.

With `kills`, it forks children that train and kills each with SIGKILL after a random time, until one finishes; it then
prints the number of kills.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from training_runs import MakeConfig, tiny_cyclegan, tiny_run

from ganvas.content_gate import gate
from ganvas.methods.base import methods
from ganvas.training.loop import train

ALONE = {"norm": "none", "dropout": 0.0}
"""The result of a picture does not depend on the others of its batch..."""
NO_POOL = {"pool_size": 0}
"""... nor on earlier ones, since every process would have its own pool."""


def make(data: Path) -> MakeConfig:
    """Return the run that fits the data."""
    return tiny_cyclegan if (data / "trainA").is_dir() else tiny_run


def prepare() -> None:
    """Use one thread and a gate that passes everything, and import what all children need."""
    methods()
    torch.set_num_threads(1)
    gate.load_scorer = lambda: lambda rgb: 0.0
    gate.forget_scorer()


def train_under_fire(data: Path, run: Path, seed: int) -> int:
    """Train in children, killing each after a random time; return the number of kills."""
    chance, kills = random.Random(seed), 0
    while True:
        child = os.fork()
        if child == 0:
            train(make(data)(data, epochs=12, checkpoint_every=4), run, resume=True, quiet=True)
            os._exit(0)
        time.sleep(chance.uniform(0.02, 0.4 + 0.1 * kills))  # grows, so that the slowest machine finishes
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return kills
        kills += 1


if __name__ == "__main__":
    prepare()
    data, run = Path(sys.argv[1]), Path(sys.argv[2])
    if sys.argv[3:4] == ["kills"]:
        print(train_under_fire(data, run, int(sys.argv[4])))
    else:
        run_of = make(data)
        train(run_of(data, method=ALONE | (NO_POOL if run_of is tiny_cyclegan else {})), run, quiet=True)
