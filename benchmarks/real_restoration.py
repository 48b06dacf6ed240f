"""Real-world restoration compared with SRGAN and bicubic interpolation after equal training times.

    python benchmarks/real_restoration.py --data ../shared/data --out runs/real --minutes 60 --processes 2
    python benchmarks/real_restoration.py --data ../shared/data --out runs/real2 --scale 2 --minutes 60 --processes 2

All methods have the same generator, Compact, and train on the same photographs (the training halves of flowers and of
BSDS500) for the same processor time of one core, half of it with L1 alone and half with their adversarial losses:

    srgan                 recipe `srgan_modern`, on pictures downsampled by bicubic interpolation
    srgan_second_order    the same losses on the second-order degradation, to separate the two effects (on request)
    real_restoration      recipes `real_restoration_l1` and `real_restoration`

They are measured on BSD100 and on held-out flowers, under two degradations that no training uses: `held` (see below)
differs from the second-order degradation in kinds, order and strengths; `resaved` downsamples photographs and saves
them ten times as JPEG of quality 30. PSNR is computed on RGB, LPIPS with AlexNet; intervals are 95 % bootstrap
intervals over pictures. A picture that the content gate refuses, before or after translation, is left out. After an
interruption, the same command resumes. Writes real_restoration.json and a grid for each degradation. At scale 1 there
is no SRGAN, and the input replaces bicubic interpolation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure.budget import in_processes, train_for
from measure.table import Table, markdown
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from quality import machine, write_split
from scipy import ndimage

from ganvas.data.config import PairedData
from ganvas.data.sampler import seed_of_name
from ganvas.data.second_order import through_jpeg
from ganvas.data.splits import evenly
from ganvas.errors import PolicyRefusal
from ganvas.filesystem.atomic import write_json
from ganvas.image.cover import bicubic_resize
from ganvas.image.files import list_images, read_image, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.inference.adapt import unit_from_picture
from ganvas.inference.translator import Translator
from ganvas.methods import RealESRGANConfig, SRGANConfig, SRResNetConfig
from ganvas.metrics.features import LPIPS, load_lpips
from ganvas.metrics.fidelity import psnr
from ganvas.metrics.localization import bootstrap
from ganvas.progress import track
from ganvas.recipes import real_restoration, real_restoration_l1, srgan_modern
from ganvas.serialization import read_json
from ganvas.training.config import RunConfig

Rgb = NDArray[np.uint8]
Degrade = Callable[[Rgb, int, np.random.Generator], Rgb]
"""Function from picture, downsampling factor and random generator to the degraded picture."""
STAGES = ("l1", "gan")
WAYS = {"srgan": "reduce", "srgan_second_order": "second_order", "real_restoration": "second_order"}
"""Method -> the degradation in its training."""
SHOWN, WINDOW = 6, 192
"""Number of rows of a grid, and the side in pixels of its crops."""
RESAVED, RESAVED_QUALITY = 10, 30


def held(picture: Rgb, factor: int, random: np.random.Generator) -> Rgb:
    """Apply noise in linear light, JPEG, defocus, Lanczos downsampling, sharpening and JPEG, which no training uses.

    The second-order degradation blurs, resizes, adds noise and compresses, twice. Here the noise comes first and is
    added in linear light, the blur is a disk, and the downsampling is antialiased and followed by sharpening.
    """
    light = (picture / np.float32(255)) ** 2.2
    photons = random.uniform(100, 2000)
    light = random.poisson(light * photons) / photons + random.normal(0, random.uniform(0.002, 0.01), light.shape)
    camera = jpeg(np.rint(light.clip(0, 1) ** (1 / 2.2) * 255).astype(np.uint8), int(random.integers(60, 96)))
    radius = random.uniform(0.5, 0.6 * factor + 0.8)
    blurred = Image.fromarray(convolved(camera, disk(radius)))
    height, width = (side // factor for side in picture.shape[:2])
    small = blurred.resize((width, height), Image.Resampling.LANCZOS)
    sharpened = small.filter(ImageFilter.UnsharpMask(radius=1.0, percent=int(random.integers(0, 121)), threshold=0))
    return jpeg(np.asarray(sharpened), int(random.integers(25, 66)))


def resaved(picture: Rgb, factor: int, random: np.random.Generator) -> Rgb:
    """Downsample by bicubic interpolation, then save ten times as JPEG of quality 30."""
    del random  # deterministic
    small = bicubic_resize(picture, *(side // factor for side in picture.shape[:2]))
    for _ in range(RESAVED):
        small = jpeg(small, RESAVED_QUALITY)
    return small


DEGRADATIONS: dict[str, Degrade] = {"held": held, "resaved": resaved}


def disk(radius: float) -> NDArray[np.float64]:
    """Return the kernel of a defocused lens, a disk with antialiased rim."""
    reach, fine = int(np.ceil(radius)), 8
    places = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (places[:, None] ** 2 + places**2 <= radius**2).astype(float)
    kernel = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).sum((1, 3))
    return np.asarray(kernel / kernel.sum())


def convolved(picture: Rgb, kernel: NDArray[np.float64]) -> Rgb:
    channels = [
        ndimage.convolve(channel.astype(float), kernel, mode="mirror") for channel in picture.transpose(2, 0, 1)
    ]
    return np.rint(np.stack(channels, -1)).clip(0, 255).astype(np.uint8)


def jpeg(picture: Rgb, quality: int) -> Rgb:
    return np.ascontiguousarray(through_jpeg(picture.transpose(2, 0, 1), quality).transpose(1, 2, 0))


@dataclass(frozen=True)
class Job:
    """Trainings of a method, one after the other."""

    way: str
    given: argparse.Namespace


def run_of(job: Job, stage: str) -> Path:
    return Path(job.given.out) / f"{job.way}-{stage}"


def configs(job: Job) -> dict[str, RunConfig]:
    """Return stage -> its run; the second starts from the first."""
    given, scale = job.given, float(job.given.scale)
    sizes: dict[str, Any] = {"width": given.width, "num_blocks": given.num_blocks, "scale": given.scale}
    first, second = real_restoration_l1(), real_restoration()
    assert isinstance(first.method, SRResNetConfig)
    assert isinstance(first.data, PairedData)
    data = replace(first.data, folder=given.out / "pictures", degrade=WAYS[job.way], strength=(scale, scale),
                   crop_size=(given.crop, given.crop))  # fmt: skip
    method: SRGANConfig | RealESRGANConfig
    if job.way == "real_restoration":
        assert isinstance(second.method, RealESRGANConfig)
        method = replace(second.method, **sizes, perceptual="vgg16", discriminator_width=given.discriminator_width)
    else:
        srgan = srgan_modern().method
        assert isinstance(srgan, SRGANConfig)
        method = replace(srgan, **sizes, generator="compact", residual=False, content="vgg16-5,3",
                         discriminator_width=given.discriminator_width)  # fmt: skip
    common: dict[str, Any] = {"precision": given.precision, "seed": given.seed, "batch_size": given.batch}
    first_training = replace(first.training, **common, device="cpu")
    second_training = replace(second.training, **common, device="cpu", start_from=run_of(job, "l1"))
    return {
        "l1": replace(first, method=replace(first.method, **sizes), data=data, training=first_training),
        "gan": replace(second, method=method, data=data, training=second_training),
    }


def train_way(job: Job) -> dict[str, dict[str, float]]:
    """Train both stages; return the cost of each."""
    minutes = job.given.minutes / len(STAGES)
    return {stage: train_for(config, run_of(job, stage), minutes) for stage, config in configs(job).items()}


def gather(data: Path, out: Path) -> None:
    """Link the training photographs into OUT/pictures/train; BSD100 is disjoint from both halves of BSDS500 here."""
    flowers = read_json(write_split(data / "flowers", out))["train"]
    bsds = [path for half in ("train", "test") for path in list_images(data / "bsds500" / half)]
    folder = out / "pictures" / "train"
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*(data / "flowers" / name for name in flowers), *bsds]:
        link = folder / f"{path.parent.name}-{path.name}"
        if not link.exists():
            link.symlink_to(path.resolve())


def held_out(data: Path, out: Path, scale: int, limit: int) -> Iterator[tuple[str, str, Rgb]]:
    """Yield set, name and picture, cropped to multiples of the scale."""
    flowers = [data / "flowers" / name for name in read_json(out / "split.json")["test"]]
    for name, paths in {"BSD100": list_images(data / "sr" / "BSD100"), "flowers": flowers}.items():
        for index in evenly(len(paths), min(limit, len(paths))):
            rgb = read_image(paths[index]).as_rgb8()
            height, width = (side // scale * scale for side in rgb.shape[:2])
            yield name, paths[index].stem, np.ascontiguousarray(rgb[:height, :width])


def enlarged(small: Rgb, size: tuple[int, ...], how: Image.Resampling) -> Rgb:
    return np.asarray(Image.fromarray(small).resize((size[1], size[0]), how))


def score(made: Rgb, truth: Rgb, judge: LPIPS) -> dict[str, float]:
    """Return PSNR and LPIPS."""
    images, targets = (unit_from_picture(Picture(rgb), Picture(rgb).spec) for rgb in (made, truth))
    with torch.inference_mode():
        return {"psnr": psnr(images, targets).item(), "lpips": judge(2 * images - 1, 2 * targets - 1).item()}


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each picture, degradation and method, and write the grids."""
    runs = {way: run_of(Job(way, given), "gan") for way in given.ways}
    if "real_restoration" in given.ways:
        runs = {"real_restoration_l1": run_of(Job("real_restoration", given), "l1")} | runs
    translators = {name: Translator.load(run, snapshot="last", device="cpu") for name, run in runs.items()}
    judge, rows = load_lpips("alexnet"), list[dict[str, Any]]()
    pictures = list(held_out(given.data, given.out, given.scale, given.pictures))
    shown = set(evenly(len(pictures), min(SHOWN, len(pictures))))
    for degradation, degrade in DEGRADATIONS.items():
        cells = list[list[Picture]]()
        for place, (name, stem, truth) in enumerate(track(pictures, degradation, total=len(pictures))):
            small = degrade(truth, given.scale, np.random.default_rng(seed_of_name(f"{degradation}/{stem}")))
            try:
                made, seconds = renditions(small, truth, stem, translators)
            except PolicyRefusal as refusal:  # left out for every method, so that all means are over the same pictures
                print(f"{degradation}: {stem} is left out: {refusal}", flush=True)
                continue
            for way, rgb in made.items():
                row = {"set": name, "degradation": degradation, "picture": stem, "way": way, "seconds": seconds[way]}
                rows.append(row | score(rgb, truth, judge))
            if place in shown:
                nearest = enlarged(small, truth.shape, Image.Resampling.NEAREST)
                cells.append([Picture(window(one)) for one in (nearest, *made.values(), truth)])
        captions = ["given", "bicubic", *translators, "truth"]
        label = SyntheticLabel(
            software="ganvas benchmarks/real_restoration.py",
            model=", ".join(translators),
            note="All columns but the first two and the last were made by models.",
        )
        write_image(given.out / f"{degradation}.png", Picture(make_grid(cells, captions=captions)), synthetic=label)
    return rows


def renditions(
    small: Rgb, truth: Rgb, stem: str, translators: Mapping[str, Translator]
) -> tuple[dict[str, Rgb], dict[str, float]]:
    """Return method -> restored picture, and method -> seconds.

    Raises:
        PolicyRefusal: the content gate refused the picture or a result.
    """
    made = {"bicubic": enlarged(small, truth.shape, Image.Resampling.BICUBIC)}
    seconds = {"bicubic": 0.0}
    for way, translator in translators.items():
        started = time.perf_counter()
        made[way] = translator.translate_picture(Picture(small), name=stem).picture.as_rgb8()
        seconds[way] = time.perf_counter() - started
    return made, seconds


def window(picture: Rgb) -> Rgb:
    """Return the center of a picture."""
    top, left = (max(side - WINDOW, 0) // 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + WINDOW, left : left + WINDOW])


def tables(rows: list[dict[str, Any]]) -> list[Table]:
    """Return a table for each set and degradation."""
    made = []
    for name, degradation in dict.fromkeys((row["set"], row["degradation"]) for row in rows):
        chosen = [row for row in rows if (row["set"], row["degradation"]) == (name, degradation)]
        table = Table(f"{name}, {degradation}, {len({row['picture'] for row in chosen})} pictures")
        for way in sorted({row["way"] for row in chosen}):
            line: dict[str, str] = {"way": way}
            for key, digits in (("psnr", 2), ("lpips", 4)):
                spread = bootstrap([row[key] for row in chosen if row["way"] == way])
                line[key] = f"{spread.mean:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"
            table.rows.append(line)
        made.append(table)
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that contains flowers, bsds500 and sr")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0, help="training minutes per method, both stages together")
    parser.add_argument("--processes", type=int, default=1, help="methods trained at the same time, one thread each")
    parser.add_argument("--scale", type=int, choices=(1, 2, 4), default=4)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["srgan", "real_restoration"])
    parser.add_argument("--width", type=int, default=48, help="width of the generator")
    parser.add_argument("--num-blocks", type=int, default=12, help="blocks of the generator")
    parser.add_argument("--discriminator-width", type=int, default=32)
    parser.add_argument("--crop", type=int, default=128, help="crop side in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=51, help="number of pictures of each set to measure")
    given = parser.parse_args()
    if given.scale == 1:
        given.ways = [way for way in given.ways if WAYS[way] != "reduce"]
    return given


def main() -> None:
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    gather(given.data, given.out)
    jobs = [Job(way, given) for way in given.ways]
    training = dict(zip(given.ways, in_processes(train_way, jobs, given.processes), strict=True))
    torch.set_num_threads(1)
    rows = measure(given)
    settings = {name: str(value) for name, value in vars(given).items()}
    write_json(given.out / "real_restoration.json",
               {"machine": machine(), "settings": settings, "training": training, "rows": rows})  # fmt: skip
    print(markdown(tables(rows)))


if __name__ == "__main__":
    main()
