"""Mode collapse of a GAN, a Wasserstein GAN and a GAN with cycle loss, on 8 modes on a ring and 25 on a grid.

    python benchmarks/collapse.py --out collapse

Writes collapse/collapse.json (each trial, and mean and deviation over the seeds), collapse.md (the table) and two
pictures: the points of seed 0, and the modes of every seed. About a quarter of an hour of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch

from ganvas.filesystem.atomic import write_json, write_text
from ganvas.progress import progress_bars
from ganvas.toy.study import BLUE, GAMES, ORANGE, TARGETS, Trial, draw_trials, make_panels, run_trial, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def summarize(trials: Sequence[Trial]) -> list[dict[str, str | float]]:
    """Return one row per target and game, in order of first appearance: mean and deviation over the seeds."""
    groups = dict.fromkeys((trial.target, trial.game) for trial in trials)
    return [_row([trial for trial in trials if (trial.target, trial.game) == group]) for group in groups]


def _row(trials: Sequence[Trial]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"target": trials[0].target, "method": trials[0].game, "seeds": len(trials)}
    for name in ("covered", "held", "high_quality"):
        values = [float(getattr(trial.coverage, name)) for trial in trials]
        row |= {name: round(fmean(values), 3), f"{name}_deviation": round(pstdev(values), 3)}
    return row | {"seconds": round(fmean(trial.seconds for trial in trials), 1)}


def draw_covered(trials: Sequence[Trial]) -> Figure:
    """Plot covered and retained modes of every trial: a panel per target, a line per method, a dot per seed."""
    targets = list(dict.fromkeys(trial.target for trial in trials))
    games = list(dict.fromkeys(trial.game for trial in trials))
    figure, panels = make_panels(1, len(targets), width=4.8, height=3.0)
    for axes, target in zip(panels, targets, strict=True):
        own = [trial for trial in trials if trial.target == target]
        for offset, color, name in ((-0.12, BLUE, "covered"), (0.12, ORANGE, "held")):
            places = [games.index(trial.game) + offset + 0.03 * (trial.seed - 2) for trial in own]
            axes.plot([getattr(trial.coverage, name) for trial in own], places, "o", color=color, label=name, alpha=0.6)
        axes.set(title=target, xlabel="modes", xlim=(-0.5, own[0].coverage.modes + 0.5))
        axes.set_yticks(range(len(games)), games)
        axes.invert_yaxis()
    panels[0].legend(frameon=False, fontsize="small", loc="lower left")
    return figure


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
