"""Unpaired translation of horses and zebras, evaluated with an ImageNet classifier; writes JSON and a grid.

    python benchmarks/unpaired.py horses --data ../shared/data/horse2zebra --runs cyclegan=RUN cut=RUN --out DIR
    python benchmarks/unpaired.py ablation --data ../shared/data/horse2zebra --out DIR --epochs 15 --threads 1

`horses` measures the last snapshots of trained runs on the test pictures, at the size of their training:

- the share classified as zebra by EfficientNet-lite0 (ImageNet), which is installed with ganvas, and the mean
  probability of that class: for the horses before and after, and for the real zebras, an upper bound;
- the same in the other direction with `sorrel`, ImageNet's only class of horses; it excludes horses of other colors, so
  the share of the real horses is the upper bound;
- Frechet and kernel distance to the real pictures of the other domain, with the features named;
- the PSNR of translation there and back, for methods that learn both directions.

Intervals are 95 %: Wilson's for shares, the bootstrap for means. `ablation` trains CycleGAN with its cycle loss,
without it, and with each half of it alone (Zhu et al. 2017, Sec. 5.1.4), then measures the same. After an interruption,
the same command resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ganvas.content_gate import AdmittedPicture, as_sheet, write_synthetic
from ganvas.data.config import UnpairedData
from ganvas.data.splits import evenly
from ganvas.evaluation.comparison_measures import (
    Measured,
    MetricNetworks,
    identity_baseline,
    load_metric_networks,
    measure_run,
    training_reference,
)
from ganvas.evaluation.comparison_plan import SIDES, TestPictures, open_test_pictures
from ganvas.filesystem.atomic import write_json
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.localization import class_index, load_classifier
from ganvas.localization.classifier import Classifier
from ganvas.methods import CycleGANConfig
from ganvas.methods.config import Direction
from ganvas.metrics.distribution import Distance
from ganvas.metrics.localization import bootstrap
from ganvas.privacy_audit.attacks import interval
from ganvas.recipes import cyclegan
from ganvas.runs.record import RunRecord, find_snapshot, read_run_record, read_snapshot
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

CLASSES: dict[Direction, str] = {"a_to_b": "zebra", "b_to_a": "sorrel"}
"""Direction -> the class that its translations should have."""
TITLES: dict[Direction, str] = {"a_to_b": "horse to zebra", "b_to_a": "zebra to horse"}
SHOWN: dict[Direction, int] = {"a_to_b": 8, "b_to_a": 4}
"""Number of rows of the grid."""
ABLATION: dict[str, dict[str, Any]] = {
    "both cycles": {},
    "GAN alone": {"cycle_weight": 0.0},
    "forward cycle": {"cycle": "forward"},
    "backward cycle": {"cycle": "backward"},
}
"""Run -> settings, as in the rows of tables 4 and 5 of the paper."""


@dataclass(frozen=True)
class Share:
    """Share of n pictures with Wilson's interval."""

    count: int
    of: int
    share: float
    low: float
    high: float


def wilson(count: int, of: int) -> Share:
    """Return the share and its 95 % interval."""
    return Share(count, of, count / of, *interval(count, of))


@dataclass(frozen=True)
class Bench:
    """Test pictures at one size, and the networks that evaluate them."""

    data: UnpairedData
    test: TestPictures
    networks: MetricNetworks


@cache
def open_bench(data: UnpairedData, limit: int) -> Bench:
    test = open_test_pictures(data, limit=limit)
    return Bench(data, test, load_metric_networks(test))


def data_of(record: RunRecord, folder: Path) -> UnpairedData:
    """Return the data config of a run, with the given folder."""
    if isinstance(record.data, UnpairedData):
        return replace(record.data, folder=folder)
    return UnpairedData(folder=folder, load_size=record.image_size, crop_size=record.image_size)


def judge(classifier: Classifier, pictures: Sequence[AdmittedPicture], way: Direction) -> dict[str, Any]:
    """Return the share of pictures in each class, horse and zebra, and the mean probability of the class."""
    scores = [classifier.evidence(one.picture.as_rgb8()).scores for one in pictures]
    seen: dict[str, Any] = {"pictures": len(pictures)}
    for name in CLASSES.values():
        index = class_index(classifier, name)
        seen[name] = {
            "top1": asdict(wilson(sum(int(one.argmax()) == index for one in scores), len(scores))),
            "probability": asdict(bootstrap([float(one[index]) for one in scores])),
        }
    seen["wanted"] = CLASSES[way]
    return seen


def rows_of(bench: Bench, classifier: Classifier) -> dict[Direction, dict[str, Any]]:
    """Return the rows of real pictures: the inputs, and those of the other domain."""
    before = identity_baseline(bench.test, bench.networks)
    draw = training_reference(bench.data, bench.test, bench.networks)
    rows: dict[Direction, dict[str, Any]] = {}
    for way, (given, wanted) in SIDES.items():
        rows[way] = {
            "before": judge(classifier, list(bench.test.sides[given].values()), way)
            | {"distances": as_records(before.distances[way])},
            "real": judge(classifier, list(bench.test.sides[wanted].values()), way)
            | {"distances": as_records(draw.distances[way]), "distances_of": "training pictures"},
        }
    return rows


def as_records(distances: Sequence[Distance]) -> list[dict[str, Any]]:
    return [distance.as_record() for distance in distances]


def judged(measured: Measured, classifier: Classifier) -> dict[Direction, dict[str, Any]]:
    """Return the row of each direction of a run."""
    return {
        way: judge(classifier, list(one.outputs.values()), way)
        | {
            "distances": as_records(measured.distances[way]),
            "there_and_back_psnr": vars(measured.returned[way]) if way in measured.returned else None,
            "refused": one.refused,
        }
        for way, one in measured.translated.items()
    }


def measure_horses(runs: Mapping[str, Path], data: Path, out: Path, limit: int) -> dict[str, Any]:
    """Measure everything and write it to OUT."""
    classifier = load_classifier("imagenet")
    record: dict[str, Any] = {"classifier": "EfficientNet-lite0, ImageNet, center 7/8", "classes": CLASSES, "sizes": {}}
    shown: dict[str, tuple[Bench, Measured]] = {}
    for name, run in runs.items():
        bench = open_bench(data_of(read_run_record(run), data), limit)
        size = "x".join(map(str, bench.data.evaluation_size or bench.data.crop_size))
        if size not in record["sizes"]:
            record["sizes"][size] = {"references": rows_of(bench, classifier), "runs": {}}
        measured = measure_run(run, bench.test, bench.networks)
        shown[name] = bench, measured
        record["sizes"][size]["runs"][name] = {
            "method": type(read_run_record(run).method).__name__.removesuffix("Config"),
            "images_seen": read_snapshot(find_snapshot(run, "last"))[1],
            "ways": judged(measured, classifier),
        }
        write_json(out / "unpaired.json", record)
    write_grid(shown, out / "grid.png")
    return record


def write_grid(shown: Mapping[str, tuple[Bench, Measured]], path: Path) -> None:
    """Write a grid of inputs and the outputs of every run; every picture has passed the content gate."""
    test = next(iter(shown.values()))[0].test
    cells: list[list[AdmittedPicture | None]] = []
    labels: list[str] = []
    for way, (given, _) in SIDES.items():
        translated = [measured.translated.get(way) for _, measured in shown.values()]
        if not any(translated):
            continue
        names = list(test.sides[given])
        for name in [names[index] for index in evenly(len(names), SHOWN[way])]:
            cells.append([test.sides[given][name], *(one.outputs.get(name) if one else None for one in translated)])
            labels.append(f"{TITLES[way]}: {name}")
    pictures = [[one.picture if one else None for one in row] for row in cells]
    grid = make_grid(pictures, captions=["input", *shown], row_labels=labels)
    note = "All columns but the first were made by models."
    label = SyntheticLabel(software=f"ganvas {version('ganvas')}", model=", ".join(shown), note=note)
    admitted = [one for row in cells for one in row if one]
    write_synthetic(path, as_sheet(Picture(grid), admitted, name=path.name), label)


def tables(record: dict[str, Any]) -> list[Table]:
    """Return a table for each size and direction."""
    found = []
    for size, group in record["sizes"].items():
        for way, title in TITLES.items():
            table = Table("", *(f"{name}, %" for name in CLASSES.values()), *(f"p({n})" for n in CLASSES.values()),
                          title=f"{title}, {size}", title_justify="left")  # fmt: skip
            rows = dict(group["references"][way])
            runs = {name: run["ways"][way] for name, run in group["runs"].items() if way in run["ways"]}
            real = rows.pop("real")
            for measure in [distance["measure"] for distance in real["distances"]] + ["back, dB"]:
                table.add_column(measure, justify="right")
            for name, row in [*rows.items(), *runs.items(), ("real", real)]:
                table.add_row(name, *cells_of(row))
            found.append(table)
    return found


def cells_of(row: dict[str, Any]) -> list[str]:
    shares = [row[name]["top1"] for name in CLASSES.values()]
    means = [row[name]["probability"] for name in CLASSES.values()]
    back = row.get("there_and_back_psnr")
    return [
        *(f"{100 * s['share']:.1f} ({100 * s['low']:.1f}-{100 * s['high']:.1f}) n={s['of']}" for s in shares),
        *(f"{m['mean']:.3f} ({m['low']:.3f}-{m['high']:.3f})" for m in means),
        *(f"{d['value']:.4g}" + (f" ± {d['deviation']:.2g}" if d["deviation"] else "") for d in row["distances"]),
        f"{back['mean']:.2f}" if back else "",
    ]


def ablated(chosen: argparse.Namespace) -> dict[str, RunConfig]:
    """Return four runs that differ only in the cycle loss."""
    base = cyclegan()
    size = (chosen.size, chosen.size)
    loaded = round(chosen.size * 286 / 256)
    method = CycleGANConfig(width=chosen.width, discriminator_width=chosen.width)
    every = chosen.checkpoint_every
    training = replace(
        base.training, epochs=chosen.epochs, precision=chosen.precision, seed=chosen.seed,
        checkpoint_every=every, sample_every=4 * every, validate_every=4 * every,
    )  # fmt: skip
    return {
        name: RunConfig(
            method=replace(method, **settings),
            data=UnpairedData(folder=chosen.data, load_size=(loaded, loaded), crop_size=size),
            training=training,
        )
        for name, settings in ABLATION.items()
    }


def run_ablation(chosen: argparse.Namespace) -> dict[str, Any]:
    """Train the unfinished runs, then measure all."""
    runs: dict[str, Path] = {}
    for name, config in ablated(chosen).items():
        runs[name] = chosen.out / "runs" / name.replace(" ", "_")
        result = train(config, runs[name], resume=True)
        print(result)
        if result.stopped == "interrupted":
            raise SystemExit(result.exit_code)
    return measure_horses(runs, chosen.data, chosen.out, chosen.pictures)


def named_run(text: str) -> tuple[str, Path]:
    name, equals, run = text.partition("=")
    if not (name and equals and run):
        raise argparse.ArgumentTypeError(f"{text}: give NAME=RUN")
    return name, Path(run)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    horses, ablation = verbs.add_parser("horses"), verbs.add_parser("ablation")
    for verb in (horses, ablation):
        verb.add_argument("--data", type=Path, required=True, help="the folder horse2zebra")
        verb.add_argument("--out", type=Path, required=True)
        verb.add_argument("--pictures", type=int, default=1000, help="maximum number of test pictures of each domain")
        verb.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    horses.add_argument("--runs", type=named_run, nargs="+", required=True, metavar="NAME=RUN")
    ablation.add_argument("--epochs", type=float, default=15.0)
    ablation.add_argument("--width", type=int, default=32)
    ablation.add_argument("--size", type=int, default=64, help="crop side in pixels")
    ablation.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    ablation.add_argument("--seed", type=int, default=0)
    ablation.add_argument("--checkpoint-every", type=int, default=1000, help="images between checkpoints")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.verb == "ablation":
        record = run_ablation(chosen)
    else:
        record = measure_horses(dict(chosen.runs), chosen.data, chosen.out, chosen.pictures)
    for table in tables(record):
        Console(width=200).print(table)


if __name__ == "__main__":
    main()
