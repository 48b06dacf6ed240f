"""Quality of translation on real photographs, one command per experiment, for docs/experiments.md.

    python benchmarks/quality.py facades --data ../shared/data/facades --out runs/facades --minutes 60
    python benchmarks/quality.py facades-ablation --data ../shared/data/facades --out runs/ablation --minutes 10
    python benchmarks/quality.py flowers --data ../shared/data/flowers --out runs/flowers --minutes 60
    python benchmarks/quality.py flowers-gan --data ../shared/data/flowers --out runs/flowers-gan --minutes 60

Each command trains, evaluates on held-out pictures, and writes OUT/quality.json with the figures and all settings that
they depend on. After an interruption, the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.data.cache_writer import build_cache
from ganvas.data.loader import evaluation_pairs
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder
from ganvas.hardware.threads import processor_name
from ganvas.image.ranges import unit_from_signed
from ganvas.metrics.fidelity import l1, psnr, ssim
from ganvas.recipes import facades, restore
from ganvas.serialization import to_record
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train

BLOCK = 8
U_NET: dict[str, Any] = {"generator": "unet", "depth": 4, "residual": True, "unshuffle": 1}
"""Generator of `restore` before it became a residual U-Net."""
IMAGES_PER_KIND = 24
"""Pictures per kind of Oxford flowers, by name: the last 3 are the test split, the one before the validation split."""
Runs = dict[str, RunConfig]


def run_facades(data: Path, out: Path, minutes: float) -> Runs:
    """The paper's settings (Isola et al., Sec. 6.2), in bfloat16."""
    del out
    config = facades()
    return {"l1_cgan": replace(config, data=replace(config.data, folder=data), training=timed(config, minutes, 800))}


def run_ablation(data: Path, out: Path, minutes: float) -> Runs:
    """Compare L1 alone, cGAN alone and both (Isola et al., Table 1), at 128 pixels and half the width."""
    del out
    config = facades()
    pictures = replace(config.data, folder=data, load_size=(143, 143), crop_size=(128, 128))
    weights = {"l1": (0.0, 100.0), "cgan": (1.0, 0.0), "l1_cgan": (1.0, 100.0)}
    return {
        name: RunConfig(
            method=replace(
                config.method, width=32, discriminator_width=32, adversarial_weight=adversarial, l1_weight=weight
            ),
            data=pictures,
            training=timed(config, minutes, 2000),
        )
        for name, (adversarial, weight) in weights.items()
    }


def run_flowers(data: Path, out: Path, minutes: float, *, adversarial_weight: float = 0.0, epochs: float = 780) -> Runs:
    """Restore an 8-pixel mosaic; the epochs fit into an hour on one core, so that the learning rate decays to 0."""
    config = restore()
    name = "l1_gan" if adversarial_weight else "l1"
    training = replace(timed(config, minutes, 40_000), epochs=epochs * minutes / 60, ema_half_life=5000.0)
    pictures = replace(config.data, folder=data, split_file=write_split(data, out), strength=(BLOCK, BLOCK))
    method = replace(config.method, **U_NET, width=64, adversarial_weight=adversarial_weight)
    return {name: RunConfig(method=method, data=pictures, training=training)}


def run_flowers_gan(data: Path, out: Path, minutes: float) -> Runs:
    """Run the same with the adversarial loss at the paper's weight; a step costs about twice as much."""
    return run_flowers(data, out, minutes, adversarial_weight=1.0, epochs=520)


def timed(config: RunConfig, minutes: float, every: int) -> TrainingConfig:
    """Return the run with a time limit, in bfloat16."""
    return replace(
        config.training,
        minutes=minutes,
        precision="bfloat16",
        sample_every=every,
        validate_every=every,
        checkpoint_every=every // 2,
        log_every=max(every // 50, 16),
    )


def write_split(data: Path, out: Path) -> Path:
    """Write the split of the flowers, by their position within their kind."""
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for place, path in enumerate(sorted(data.glob("*.jpg"))):
        rest = IMAGES_PER_KIND - place % IMAGES_PER_KIND
        split["test" if rest <= 3 else "val" if rest == 4 else "train"].append(path.name)
    write_json(out / "split.json", split)
    return out / "split.json"


def bicubic_of_mosaic(given: Tensor) -> Tensor:
    """Upsample the block means of a mosaic (1, C, H, W) to its size: bicubic (a = -0.5), antialiased."""
    height, width = given.shape[-2:]
    means = functional.avg_pool2d(given, BLOCK, ceil_mode=True, count_include_pad=False)
    size = (means.shape[-2] * BLOCK, means.shape[-1] * BLOCK)
    return functional.interpolate(means, size, mode="bicubic", antialias=True).clamp(-1, 1)[..., :height, :width]


def measure_baselines(config: RunConfig) -> dict[str, dict[str, float]]:
    """Measure the mosaic itself and the interpolation of its blocks on the test split."""
    cache = build_cache(config.data, "test", cache_folder() / "pictures")
    methods: dict[str, Callable[[Tensor], Tensor]] = {"mosaic": lambda given: given, "bicubic": bicubic_of_mosaic}
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    for _, given, target in evaluation_pairs(cache, config.data):
        wanted = unit_from_signed(target)
        for name, make in methods.items():
            made = unit_from_signed(make(given))
            rows[name].append((psnr(made, wanted).item(), ssim(made, wanted).item(), l1(made, wanted).item()))
    return {name: summarize(values) for name, values in rows.items()}


def summarize(rows: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return mean and deviation of PSNR, SSIM and L1."""
    summary: dict[str, float] = {}
    for name, values in zip(("psnr", "ssim", "l1"), zip(*rows, strict=True), strict=True):
        summary[name], summary[f"{name}_deviation"] = round(fmean(values), 4), round(pstdev(values), 4)
    return summary


def run_experiment(name: str, config: RunConfig, run: Path) -> dict[str, Any]:
    """Train or resume, then evaluate the last snapshot on the test split."""
    result = train(config, run, resume=(run / "run.json").exists())
    print(result)
    evaluation = evaluate_run(EvaluateConfig(run, snapshot="last", split="test"))
    print(f"{name}\n{evaluation}")
    return {
        "images": result.images_seen,
        "seconds": round(result.seconds),
        "images_per_second": round(result.images_per_second, 2),
        "pictures": len(evaluation.pictures),
        "output": {measure: vars(summary) for measure, summary in evaluation.output.items()},
        "validation": result.best,
        "config": to_record(config),
    }


def machine() -> dict[str, Any]:
    """Return a description of machine and software."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {"commit": commit.stdout.strip(), "processor": processor_name(), "threads": torch.get_num_threads(),
            "torch": torch.__version__}  # fmt: skip


EXPERIMENTS: dict[str, Callable[[Path, Path, float], Runs]] = {
    "facades": run_facades,
    "facades-ablation": run_ablation,
    "flowers": run_flowers,
    "flowers-gan": run_flowers_gan,
}


def main() -> None:
    """Run one experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0, help="training minutes for each run of the experiment")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    runs = EXPERIMENTS[chosen.experiment](chosen.data, chosen.out, chosen.minutes)
    record: dict[str, Any] = {"machine": machine(), "minutes": chosen.minutes, "runs": {}}
    for name, config in runs.items():
        record["runs"][name] = run_experiment(name, config, chosen.out / name)
    if chosen.experiment.startswith("flowers"):
        record["baselines"] = measure_baselines(next(iter(runs.values())))
    write_json(chosen.out / "quality.json", record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
