"""Tiny runs with random weights for the tests of outputs."""

from __future__ import annotations

from pathlib import Path

import torch

from ganvas.image.picture import PictureSpec
from ganvas.methods import Pix2PixConfig, VAEConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

TRANSLATES = Pix2PixConfig(width=4, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0)
DRAWS = VAEConfig(width=2, latent_size=4)


def make_run(folder: Path, *, draws: bool = False) -> Path:
    """Write a run of 16-pixel RGB pictures."""
    config = DRAWS if draws else TRANSLATES
    record = RunRecord(method=config, input=PictureSpec(), output=PictureSpec(), image_size=(16, 16))
    with torch.random.fork_rng():
        method = build(config, input_channels=3, output_channels=3, image_size=(16, 16))
    write_run_record(folder, record)
    save_snapshot(snapshot_path(folder, "last"), method.eval(), images_seen=1)
    return folder
