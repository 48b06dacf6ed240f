"""Modes that a GAN alone, a Wasserstein GAN and a GAN with the cycle term keep, of 8 on a ring and of 25 on a grid.

    python benchmarks/collapse.py --out collapse

Writes collapse/collapse.json (each trial, and mean and deviation over the seeds), collapse.md (the table) and two
pictures: the points of seed 0, and the modes of every seed. About a quarter of an hour of one core.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from ganvas.filesystem.atomic import write_json, write_text
from ganvas.progress import progress_bars
from ganvas.toy.experiments import GAMES, TARGETS, Trial, run_trial, summarize
from ganvas.toy.study import draw_covered, draw_trials, save_figure

HEADINGS = {"covered": "modes covered", "held": "modes held", "high_quality": "share of high quality"}


def run_all(*, seeds: int, steps: int) -> list[Trial]:
    trials = []
    with progress_bars() as tell:
        for target in TARGETS:
            for game in GAMES:
                for seed in range(seeds):
                    trials.append(run_trial(target, game, seed=seed, steps=steps))
                    tell("trials", len(trials), len(TARGETS) * len(GAMES) * seeds)
    return trials


def as_markdown(rows: list[dict[str, str | float]]) -> str:
    lines = [
        f"| target | method | {' | '.join(HEADINGS.values())} | seconds |",
        "|---|---|" + "---|" * (len(HEADINGS) + 1),
    ]
    for row in rows:
        cells = [f"{row[name]:.3g} ± {row[f'{name}_deviation']:.2g}" for name in HEADINGS]
        lines.append(f"| {row['target']} | {row['method']} | {' | '.join(cells)} | {row['seconds']} |")
    return "\n".join(lines) + "\n"


def as_record(trial: Trial) -> dict[str, object]:
    named = {"target": trial.target, "method": trial.game, "seed": trial.seed, "seconds": round(trial.seconds, 1)}
    return named | asdict(trial.coverage)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("collapse"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    trials = run_all(seeds=given.seeds, steps=given.steps)
    rows = summarize(trials)
    record = {"steps": given.steps, "rows": rows, "trials": [as_record(trial) for trial in trials]}
    write_json(given.out / "collapse.json", record)
    write_text(given.out / "collapse.md", as_markdown(rows))
    save_figure(draw_trials([trial for trial in trials if trial.seed == 0]), given.out / "points.png")
    save_figure(draw_covered(trials), given.out / "modes.png")
    print(as_markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
