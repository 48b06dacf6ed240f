"""Quality on real photographs, one command an experiment; figures go to docs/experiments.md.

    python benchmarks/quality.py facades --data ../shared/data/facades --out runs/facades --minutes 60
    python benchmarks/quality.py facades-ablation --data ../shared/data/facades --out runs/ablation --minutes 10
    python benchmarks/quality.py flowers --data ../shared/data/flowers --out runs/flowers --minutes 60
    python benchmarks/quality.py flowers-gan --data ../shared/data/flowers --out runs/flowers-gan --minutes 60

Each trains with `ganvas.train`, evaluates with `ganvas.evaluate`, and writes OUT/quality.json. Interrupted, the same
command goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ganvas
from ganvas.recipes import facades, restore

IMAGES_PER_KIND = 24
"""Oxford flowers: 24 consecutive pictures of each kind; the last 3 are held out, the one before validates."""


def run_facades(data: Path, minutes: float) -> dict[str, ganvas.RunConfig]:
    """The paper's settings, in bfloat16, for as long as there is time."""
    config = facades()
    return {"": timed(config, data, minutes, every=800, precision="bfloat16")}


def run_ablation(data: Path, minutes: float) -> dict[str, ganvas.RunConfig]:
    """L1 alone, cGAN alone and both (Isola et al., Table 1), at 128 pixels and half the width."""
    config = facades()
    small = replace(config.data, load_size=(143, 143), crop_size=(128, 128))
    runs = {}
    for name, adversarial, l1 in (("l1", 0.0, 100.0), ("cgan", 1.0, 0.0), ("l1_cgan", 1.0, 100.0)):
        method = replace(config.method, width=32, discriminator_width=32, adversarial_weight=adversarial, l1_weight=l1)
        runs[name] = timed(replace(config, method=method, data=small), data, minutes, every=2000, precision="bfloat16")
    return runs


def run_flowers(
    data: Path, minutes: float, *, adversarial_weight: float = 0.0, l1_weight: float = 100.0
) -> dict[str, ganvas.RunConfig]:
    """An 8-pixel mosaic everywhere, L1 alone or with the adversarial term, about as many images as fit the time."""
    config = restore()
    method = replace(config.method, width=64, adversarial_weight=adversarial_weight, l1_weight=l1_weight)
    timed_config = timed(replace(config, method=method), data, minutes, every=40_000, precision="bfloat16")
    return {"": timed_config}


def timed(config: ganvas.RunConfig, data: Path, minutes: float, *, every: int, precision: str) -> ganvas.RunConfig:
    """The run on that data with a limit of time."""
    training = replace(
        config.training, minutes=minutes, precision=precision, sample_every=every, validate_every=every, log_every=100
    )  # type: ignore[arg-type]
    return replace(config, data=replace(config.data, folder=data), training=training)
