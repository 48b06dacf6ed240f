"""Convergence of training in bfloat16 compared with float32: curves of the same runs with several seeds.

    python benchmarks/precision.py --data ../shared/data --out runs/precision --figures docs/figures

Small versions of three recipes: facades (pix2pix with batch norm), restore (flowers, no norm) and CycleGAN on horses
and zebras (instance norm). Writes OUT/precision.json and one figure per recipe (needs the extra `figures`). After an
interruption, the same command resumes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Literal, get_args

import numpy as np
import torch
from quality import machine, write_split

from ganvas.filesystem.atomic import write_json
from ganvas.recipes import cyclegan, facades, restore
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

Precision = Literal["float32", "bfloat16"]
Curve = list[tuple[float, float]]
"""Points (images seen, value)."""
Curves = dict[str, Curve]
COLORS = {"float32": "#1f4e8c", "bfloat16": "#c2571a"}
ROWS, VALIDATIONS = 30, 6
"""Number of logged losses and of validations in a run."""


@dataclass(frozen=True)
class Experiment:
    """Small version of a recipe.

    Attributes:
        configure: function from (data, out) to the run.
        pictures: number of pictures in the training split.
        epochs: length of the training.
        shown: metric -> label in the figure.
    """

    configure: Callable[[Path, Path], RunConfig]
    pictures: int
    epochs: float
    shown: dict[str, str]


def small_facades(data: Path, out: Path) -> RunConfig:
    """Return the recipe facades at 128 pixels and half the width."""
    del out
    config = facades()
    pictures = replace(config.data, folder=data / "facades", load_size=(143, 143), crop_size=(128, 128))
    return replace(config, method=replace(config.method, width=32, discriminator_width=32), data=pictures)


def small_restore(data: Path, out: Path) -> RunConfig:
    """Return the recipe restore, unchanged: flowers under an 8-pixel mosaic."""
    config = restore()
    split = write_split(data / "flowers", out)
    return replace(config, data=replace(config.data, folder=data / "flowers", split_file=split))


def small_cyclegan(data: Path, out: Path) -> RunConfig:
    """Return CycleGAN on horses and zebras at 96 pixels and half the width."""
    del out
    config = cyclegan()
    pictures = replace(config.data, folder=data / "horse2zebra", load_size=(108, 108), crop_size=(96, 96))
    return replace(config, method=replace(config.method, width=32, discriminator_width=32), data=pictures)


EXPERIMENTS = {
    "facades": Experiment(
        small_facades,
        pictures=400,
        epochs=2,
        shown={
            "generator/l1": "100 x L1, training",
            "discriminator/real": "D on real",
            "psnr": "PSNR (dB), validation",
        },
    ),
    "restore": Experiment(
        small_restore,
        pictures=340,
        epochs=12,
        shown={"generator/l1": "100 x L1, training", "psnr": "PSNR (dB), validation", "ssim": "SSIM, validation"},
    ),
    "cyclegan": Experiment(
        small_cyclegan,
        pictures=400,
        epochs=0.5,
        shown={
            "generators/cycle_a": "10 x cycle, horses",
            "generators/cycle_b": "10 x cycle, zebras",
            "discriminators/real_b": "D on real zebras",
        },
    ),
}


def run_once(experiment: Experiment, config: RunConfig, run: Path, *, precision: Precision, seed: int) -> Curves:
    """Train or resume the run if it is unfinished; return the curves of `metrics.jsonl`."""
    images = round(experiment.epochs * experiment.pictures)
    training = replace(
        config.training,
        epochs=experiment.epochs,
        precision=precision,
        seed=seed,
        log_every=images // ROWS,
        validate_every=images // VALIDATIONS,
        validation_pictures=20,
        sample_every=images,
        checkpoint_every=images,
    )
    result = train(replace(config, training=training), run, resume=(run / "run.json").exists(), quiet=True)
    print(f"{run.name}: {result}", flush=True)
    return read_curves(run / "metrics.jsonl")


def read_curves(path: Path) -> Curves:
    """Return name -> curve of every metric in the file."""
    curves: Curves = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if isinstance(value, int | float):
                curves.setdefault(name, []).append((row["images"], value))
    return curves


def last_part(curve: Curve) -> float:
    """Return the mean over the last quarter of a curve."""
    return fmean(value for _, value in curve[-max(len(curve) // 4, 1) :])


def summarize(runs: Sequence[Curves], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return metric -> mean and deviation over the seeds of the last quarter."""
    ends = {name: [last_part(run[name]) for run in runs] for name in names}
    return {name: {"mean": round(fmean(e), 4), "deviation": round(pstdev(e), 4)} for name, e in ends.items()}


def draw(experiment: Experiment, runs: dict[str, list[Curves]], path: Path) -> None:
    """Draw a panel per metric: mean and range over the seeds."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(experiment.shown), figsize=(4.2 * len(experiment.shown), 3.2))
    for panel, (name, label) in zip(panels, experiment.shown.items(), strict=True):
        for precision, seeds in runs.items():
            images = [x for x, _ in seeds[0][name]]
            values = np.array([[y for _, y in run[name]] for run in seeds])
            panel.plot(images, values.mean(axis=0), color=COLORS[precision], label=precision)
            panel.fill_between(images, values.min(axis=0), values.max(axis=0), color=COLORS[precision], alpha=0.18)
        panel.set(title=label, xlabel="images seen")
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def run_experiment(name: str, data: Path, out: Path, *, seeds: int) -> tuple[dict[str, Any], dict[str, list[Curves]]]:
    """Run all seeds in both precisions, in turn."""
    experiment = EXPERIMENTS[name]
    config = experiment.configure(data, out)
    runs: dict[str, list[Curves]] = {precision: [] for precision in get_args(Precision)}
    for seed in range(seeds):
        for precision in get_args(Precision):
            run = out / f"{name}-{precision}-{seed}"
            runs[precision].append(run_once(experiment, config, run, precision=precision, seed=seed))
    record: dict[str, Any] = {precision: summarize(found, list(experiment.shown)) for precision, found in runs.items()}
    return {"images": experiment.epochs * experiment.pictures, "seeds": seeds, **record}, runs


def main() -> None:
    """Run the chosen experiments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with facades, flowers and horse2zebra")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figures", type=Path, help="folder for the figures; unset: no figures")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    record: dict[str, Any] = {"machine": machine()}
    for name in chosen.only:
        record[name], runs = run_experiment(name, chosen.data, chosen.out, seeds=chosen.seeds)
        if chosen.figures:
            draw(EXPERIMENTS[name], runs, chosen.figures / f"precision-{name}.png")
        print(json.dumps(record[name], indent=1))
    write_json(chosen.out / "precision.json", record)


if __name__ == "__main__":
    main()
