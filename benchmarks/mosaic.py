"""Restoration of mosaics as super-resolution: comparison of methods on held-out flowers.

    python benchmarks/mosaic.py --data ../shared/data/flowers --out runs/mosaic --minutes 20 --threads 1

For each block size: the mosaic itself, bicubic interpolation of its block means, pix2pix on the mosaic (L1; L1 and GAN,
recipe `restore`), and SRResNet and SRGAN on the block means (recipes `srresnet_modern` and `srgan_modern`, which starts
from the former). Each is trained for the same time on the same flowers, with the split of quality.py. The measured
seconds are those of a translation, including the content gate before and after it. After an interruption, the same
command resumes. Writes mosaic.json and a grid for each block size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from measure.table import Table, markdown
from numpy.typing import NDArray
from quality import machine, timed, write_split

from ganvas.filesystem.atomic import write_json
from ganvas.image.cover import bicubic_resize, block_means, mosaic
from ganvas.image.files import read_image, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.inference.adapt import unit_from_picture
from ganvas.inference.translator import Translator
from ganvas.metrics.features import LPIPS, load_lpips
from ganvas.metrics.fidelity import measure
from ganvas.progress import track
from ganvas.recipes import restore, srgan_modern, srresnet_modern
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

Rgb = NDArray[np.uint8]
Way = Callable[[Rgb], Rgb]
"""Clear picture -> restoration of its mosaic."""
SIDE = 256
"""Shorter side of the pictures."""
CROP = 128
EVERY = 40_000
NUM_SHOWN = 6


def configs(block: int, given: argparse.Namespace) -> dict[str, RunConfig]:
    """Return the name of each trained method -> its run, in the order of training."""
    split, size = write_split(given.data, given.out), (float(block), float(block))
    recipe, larger, adversarial = restore(), srresnet_modern(), srgan_modern()
    shown = replace(recipe.data, folder=given.data, split_file=split, strength=size)
    means = replace(shown, degrade="means", crop_size=(CROP, CROP))
    scaled = {"scale": block, "width": given.width, "num_blocks": given.num_blocks}
    content: Any = {"content": "vgg16-5,3"}  # the weights of VGG19 may be missing
    made = {
        "pix2pix, L1": replace(recipe, data=shown),
        "pix2pix, L1 + GAN": replace(recipe, data=shown, method=replace(recipe.method, adversarial_weight=1.0)),
        "SRResNet": replace(larger, data=means, method=replace(larger.method, **scaled)),
        "SRGAN": replace(adversarial, data=means, method=replace(adversarial.method, **scaled, **content)),
    }
    return {name: with_budget(name, config, given, block) for name, config in made.items()}


def with_budget(name: str, config: RunConfig, given: argparse.Namespace, block: int) -> RunConfig:
    """Return the run with the time limit, at a constant rate, as epochs are unknown; SRGAN starts from SRResNet."""
    training = replace(
        timed(config, given.minutes, EVERY), epochs=100_000.0, ema_half_life=3000.0, constant_fraction=1.0
    )
    if name == "SRGAN":
        training = replace(training, start_from=run_of("SRResNet", given.out, block), batch_size=8)
    return replace(config, training=training)


def run_of(name: str, out: Path, block: int) -> Path:
    """Return the run folder of a method."""
    return out / f"{block}-{name.replace(', ', '-').replace(' + ', '-').lower()}"


def ways(block: int, given: argparse.Namespace) -> tuple[dict[str, Way], dict[str, Any]]:
    """Train the missing methods; return all methods, and the cost of each training run."""
    found: dict[str, Way] = {
        "nearest": lambda picture: mosaic(picture, block),
        "bicubic": lambda picture: bicubic_resize(block_means(picture, block), *picture.shape[:2]),
    }
    costs: dict[str, Any] = {}
    for name, config in configs(block, given).items():
        run = run_of(name, given.out, block)
        result = train(config, run, resume=True)
        costs[name] = {"images": result.images_seen, "seconds": round(result.seconds)}
        found[name] = by(Translator.load(run, snapshot="last", device="cpu"), block, means="SR" in name)
    return found, costs


def by(translator: Translator, block: int, *, means: bool) -> Way:
    """Return the function that restores a picture's mosaic by a run, from the mosaic or from its block means."""

    def make(picture: Rgb) -> Rgb:
        given = block_means(picture, block) if means else mosaic(picture, block)
        return translator.translate_picture(Picture(given), name="flower").picture.as_rgb8()

    return make


def flowers(given: argparse.Namespace, block: int) -> list[Rgb]:
    """Return the held-out flowers, resized to a shorter side of SIDE and cropped to whole blocks."""
    split = write_split(given.data, given.out).read_text(encoding="utf-8")
    names = json.loads(split)["test"][: given.pictures]
    made = []
    for name in names:
        rgb = read_image(given.data / name).as_rgb8()
        scale = SIDE / min(rgb.shape[:2])
        resized = bicubic_resize(rgb, *(round(side * scale) for side in rgb.shape[:2]))
        height, width = (side // block * block for side in resized.shape[:2])
        made.append(np.ascontiguousarray(resized[:height, :width]))
    return made


def score(way: Way, picture: Rgb, judge: LPIPS) -> tuple[dict[str, float], Rgb]:
    """Return PSNR, SSIM, LPIPS and seconds for one picture, and the restored picture."""
    started = time.perf_counter()
    made = way(picture)
    seconds = time.perf_counter() - started
    images, targets = (unit_from_picture(Picture(rgb), Picture(rgb).spec) for rgb in (made, picture))
    values, _ = measure(images, targets)
    with torch.inference_mode():
        distance = judge(2 * images - 1, 2 * targets - 1).item()
    return {"psnr": values["psnr"] or 0.0, "ssim": values["ssim"] or 0.0, "lpips": distance, "seconds": seconds}, made


def run_block(block: int, given: argparse.Namespace, judge: LPIPS) -> dict[str, Any]:
    """Train, measure, and write the grid for one block size."""
    found, costs = ways(block, given)
    pictures, means, shown = flowers(given, block), {}, {}
    for name, way in found.items():
        tracked = track(pictures, f"{name}, {block} pixels", total=len(pictures))
        results = [score(way, picture, judge) for picture in tracked]
        means[name] = {key: fmean(scores[key] for scores, _ in results) for key in results[0][0]}
        shown[name] = [made for _, made in results]
    rows = [
        [Picture(shown[name][index]) for name in found] + [Picture(pictures[index])]
        for index in range(0, len(pictures), max(len(pictures) // NUM_SHOWN, 1))
    ][:NUM_SHOWN]
    label = SyntheticLabel(
        software="ganvas benchmarks/mosaic.py", model=", ".join(costs), note="Columns 3 to 6 are made."
    )
    write_image(
        given.out / f"mosaic-{block}.png", Picture(make_grid(rows, captions=[*found, "truth"])), synthetic=label
    )
    return {"means": means, "training": costs}


def tables(record: dict[str, Any]) -> list[Table]:
    """Return a table for each block size."""
    made = []
    for block, found in record["blocks"].items():
        table = Table(f"Blocks of {block} pixels, {record['pictures']} flowers")
        for name, values in found["means"].items():
            images = found["training"].get(name, {}).get("images")
            table.rows.append(
                {"": name, **{key: round(value, 4) for key, value in values.items()}, "images seen": images}
            )
        made.append(table)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0, help="training minutes per run")
    parser.add_argument("--blocks", type=int, nargs="+", default=[4, 8, 16], help="block sizes in pixels")
    parser.add_argument("--width", type=int, default=64, help="width of SRResNet and SRGAN")
    parser.add_argument("--num-blocks", type=int, default=8, help="blocks of SRResNet and SRGAN")
    parser.add_argument("--pictures", type=int, default=51, help="number of held-out flowers to measure")
    parser.add_argument("--threads", type=int, default=0, help="number of threads; 0: PyTorch's default")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    judge = load_lpips("alexnet")
    record: dict[str, Any] = {"machine": machine(), "minutes": given.minutes, "pictures": given.pictures, "blocks": {}}
    for block in given.blocks:
        record["blocks"][block] = run_block(block, given, judge)
        write_json(given.out / "mosaic.json", record)
    print(markdown(tables(record)))


if __name__ == "__main__":
    main()
