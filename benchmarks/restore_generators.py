"""Comparison of generators for the recipe `restore` after equal training times, on flowers under an 8-pixel mosaic.

    python benchmarks/restore_generators.py --data ../shared/data/flowers --out runs/generators \
        --minutes 2 10 60 --processes 2

    unet          the U-Net of pix2pix without norms, of width 32 and depth 4, whose output is added to its input
    residual_unet a U-Net of residual blocks
    half_size     the same, behind a pixel-unshuffle of 2, with as many weights: the recipe unchanged
    nafnet        a small NAFNet, as wide and deep as residual_unet
    nafnet_half   the same as half_size, with NAFNet's blocks
    compact       Compact at the resolution of the mosaic: it gets the block means, and enlarges eight times

Each trains with L1 alone, for the same processor time of one core, on the training flowers of quality.py; each number
of minutes is a separate training, whose learning rate decays to 0 within its time. The metrics on the held-out flowers
are PSNR of RGB, LPIPS with AlexNet, and pictures per second of the network alone; baselines are the mosaic itself and
bicubic interpolation of its block means. Intervals are 95 % bootstrap intervals over pictures. After an interruption,
the same command resumes. Writes restore_generators.json and a grid for each number of minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure.budget import in_processes, train_for
from measure.table import Table, markdown
from quality import BLOCK, U_NET, bicubic_of_mosaic, machine, write_split
from torch import Tensor
from torch.nn import functional

from ganvas.content_gate import admit, as_sheet, write_synthetic
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import evaluation_pairs
from ganvas.data.splits import evenly
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec, make_grid
from ganvas.image.ranges import unit_from_signed
from ganvas.inference.adapt import picture_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.methods import Pix2PixConfig, SRResNetConfig
from ganvas.metrics.features import LPIPS, load_lpips
from ganvas.metrics.fidelity import psnr
from ganvas.metrics.localization import bootstrap
from ganvas.progress import track
from ganvas.recipes import restore
from ganvas.runs.record import load_generators
from ganvas.training.config import RunConfig

CANDIDATES = ["unet", "residual_unet", "half_size", "nafnet", "nafnet_half", "compact"]
SHOWN = 6
"""Number of rows of a grid."""
Restore = Callable[[Tensor], Tensor]
"""Mosaic (1, 3, H, W) in [-1, 1] -> restored picture."""


@dataclass(frozen=True)
class Job:
    """One training."""

    candidate: str
    minutes: float
    given: argparse.Namespace

    @property
    def run(self) -> Path:
        """Return its run folder."""
        return Path(self.given.out) / f"{self.candidate}-{self.minutes:g}-{self.given.seed}"


def candidates(given: argparse.Namespace) -> dict[str, RunConfig]:
    """Return name -> run; all but Compact get the mosaic at full size."""
    recipe = restore()
    assert isinstance(recipe.data, PairedData)
    assert isinstance(recipe.method, Pix2PixConfig)
    size = (float(BLOCK), float(BLOCK))
    data = replace(recipe.data, folder=given.data, split_file=write_split(given.data, given.out), strength=size)
    training = replace(
        recipe.training, precision=given.precision, seed=given.seed, ema_half_life=2000.0, device="cpu"
    )  # fmt: skip
    base = replace(recipe, data=data, training=training)
    plain: dict[str, Any] = {"norm": "none", "loss": "l1"}
    blocks: dict[str, Any] = {"width": 16, "encoder_blocks": (1, 1, 1), "middle_blocks": 2, "decoder_blocks": (1, 1, 1)}
    nafnet = replace(recipe.method, generator="nafnet", unshuffle=1, **blocks)
    residual_unet = SRResNetConfig(generator="residual_unet", scale=1, **blocks, **plain)
    compact = SRResNetConfig(generator="compact", scale=BLOCK, width=64, num_blocks=12, **plain)
    means = replace(data, degrade="means", crop_size=(2 * data.crop_size[0], 2 * data.crop_size[1]))
    return {
        "unet": replace(base, method=replace(recipe.method, **U_NET)),
        "residual_unet": replace(base, method=residual_unet),
        "half_size": base,
        "nafnet": replace(base, method=nafnet),
        "nafnet_half": replace(base, method=replace(recipe.method, generator="nafnet")),
        "compact": replace(base, method=compact, data=means, training=replace(training, learning_rate=4e-4)),
    }


def train_job(job: Job) -> dict[str, float]:
    return train_for(candidates(job.given)[job.candidate], job.run, job.minutes)


def restorer(job: Job) -> Restore:
    """Return the function by which a run restores a mosaic."""
    method = load_generators(job.run, "last").eval()

    @torch.inference_mode()
    def make(mosaic: Tensor) -> Tensor:
        given = means_of(mosaic) if method.scale == BLOCK else mosaic
        output = translate_padded(method, given).float().clamp(-1, 1)
        return output[..., : mosaic.shape[-2], : mosaic.shape[-1]]

    return make


def means_of(mosaic: Tensor) -> Tensor:
    """Return the block means, (1, 3, ceil(H / BLOCK), ceil(W / BLOCK))."""
    return functional.avg_pool2d(mosaic, BLOCK, ceil_mode=True, count_include_pad=False)


def measure(make: Restore, pairs: list[tuple[str, Tensor, Tensor]], judge: LPIPS) -> tuple[list[Any], list[Tensor]]:
    """Return PSNR, LPIPS and seconds of each picture, and the restored pictures."""
    rows, outputs = list[Any](), list[Tensor]()
    make(pairs[0][1])  # the first call prepares kernels
    for name, mosaic, truth in track(pairs, "restore", total=len(pairs)):
        started = time.perf_counter()
        output = make(mosaic)
        seconds = time.perf_counter() - started
        value = psnr(unit_from_signed(output), unit_from_signed(truth)).item()
        with torch.inference_mode():
            rows.append({"picture": name, "psnr": value, "lpips": judge(output, truth).item(), "seconds": seconds})
        outputs.append(output)
    return rows, outputs


def write_grid(columns: dict[str, list[Tensor]], path: Path) -> None:
    """Write a grid of pictures restored by each candidate; every picture passes the content gate."""
    chosen = evenly(len(next(iter(columns.values()))), SHOWN)
    pictures = {
        name: [picture_from_signed(made[index], PictureSpec()) for index in chosen] for name, made in columns.items()
    }
    admitted = [[admit(made[row], name=name) for name, made in pictures.items()] for row in range(len(chosen))]
    grid = make_grid([[one.picture for one in row] for row in admitted], captions=[*columns])
    label = SyntheticLabel(
        software="ganvas benchmarks/restore_generators.py",
        model=", ".join(columns),
        note="All columns but the first two and the last were made by models.",
    )
    sheet = as_sheet(Picture(grid), [one for row in admitted for one in row], name=path.name)
    write_synthetic(path, sheet, label)


def compare(minutes: float, given: argparse.Namespace, judge: LPIPS) -> dict[str, list[Any]]:
    """Return candidate -> rows, for training runs of this many minutes."""
    data = candidates(given)["unet"].data
    cache = build_cache(data, "test", cache_folder() / "pictures")
    pairs = list(evaluation_pairs(cache, data))[: given.pictures]
    ways: dict[str, Restore] = {"mosaic": lambda mosaic: mosaic, "bicubic": bicubic_of_mosaic}
    ways |= {name: restorer(Job(name, minutes, given)) for name in given.candidates}
    rows, columns = dict[str, list[Any]](), dict[str, list[Tensor]]()
    for name, make in ways.items():
        rows[name], columns[name] = measure(make, pairs, judge)
    write_grid(columns | {"truth": [truth for _, _, truth in pairs]}, given.out / f"minutes-{minutes:g}.png")
    return rows


def table_of(minutes: float, rows: dict[str, list[Any]], training: dict[str, dict[str, float]]) -> Table:
    table = Table(f"{minutes:g} minutes, {len(rows['bicubic'])} held-out flowers")
    gained = {row["picture"]: row["psnr"] for row in rows["bicubic"]}
    for name, own in rows.items():
        line: dict[str, str | float | None] = {"generator": name}
        for key, digits in (("psnr", 2), ("lpips", 4)):
            spread = bootstrap([row[key] for row in own])
            line[key] = f"{spread.mean:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"
        gain = bootstrap([row["psnr"] - gained[row["picture"]] for row in own])
        line["above bicubic, dB"] = f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})"
        if name in training:
            line["pictures/s"] = len(own) / sum(row["seconds"] for row in own)
            line["crops seen"] = f"{training[name]['images']:.0f}"
        table.rows.append(line)
    return table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder flowers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 10.0, 60.0], help="minutes of training")
    parser.add_argument("--candidates", nargs="+", default=CANDIDATES, choices=CANDIDATES)
    parser.add_argument("--processes", type=int, default=1, help="simultaneous training runs, one thread each")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=51, help="number of held-out flowers to measure")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    judge, found = load_lpips("alexnet"), list[Table]()
    record: dict[str, Any] = {"machine": machine(), "settings": {k: str(v) for k, v in vars(given).items()}}
    for minutes in sorted(given.minutes):
        jobs = [Job(name, minutes, given) for name in given.candidates]
        training = dict(zip(given.candidates, in_processes(train_job, jobs, given.processes), strict=True))
        torch.set_num_threads(1)
        rows = compare(minutes, given, judge)
        found.append(table_of(minutes, rows, training))
        record[f"{minutes:g} minutes"] = {"training": training, "rows": rows}
        write_json(given.out / "restore_generators.json", record)
        print(markdown(found[-1:]), flush=True)


if __name__ == "__main__":
    main()
