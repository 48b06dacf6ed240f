"""Ablations of pix2pix after equal training times with several seeds, and pix2pixHD compared with pix2pix.

    python benchmarks/pix2pix_ablations.py --data ../shared/data/facades --out runs/ablations --minutes 8
    python benchmarks/pix2pix_ablations.py --compare hd --data ../shared/data/facades --out runs/hd --minutes 8
    python benchmarks/pix2pix_ablations.py --compare hd --task restore --data ../shared/data/flowers --out runs/restore

Without --compare: the loss (Isola et al. 2017, Table 1), the generator (Table 2) and the receptive field of the
discriminator (Table 3). `--compare hd`: pix2pix; the losses of pix2pixHD (Wang et al. 2018) with the generator of
pix2pix, without and with the perceptual loss on VGG16; and pix2pixHD with its own generator.

Every variant trains for the same processor time of one core, --processes at a time, seed by seed, so that an
interrupted command leaves complete comparisons; the same command then resumes. A variant that is finished with these
settings is not trained again; a larger --minutes extends every run. The metrics on the held-out pictures are L1, PSNR,
LPIPS and the Frechet distance of features of EfficientNet-lite0. Writes OUT/results/*.json, ablations.json,
ablations.md and grid.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from measure.budget import processor_time
from measure.seeds import Measure, Trial, seed_table
from measure.table import Table, markdown
from quality import machine, write_split

from ganvas.content_gate import AdmittedPicture, admit, as_sheet, write_synthetic
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import PairedData
from ganvas.data.loader import evaluation_pairs
from ganvas.data.splits import evenly
from ganvas.errors import WeightsError
from ganvas.evaluation.comparison_measures import (
    Measured,
    MetricNetworks,
    identity_baseline,
    load_metric_networks,
    measure_run,
    translate_all,
)
from ganvas.evaluation.comparison_plan import AdmittedSides, TestPictures
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.filesystem.paths import cache_folder
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, make_grid
from ganvas.inference.adapt import picture_from_signed
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig, Pix2PixHDConfig
from ganvas.recipes import facades, pix2pix_hd, restore
from ganvas.serialization import read_json
from ganvas.training.config import RunConfig
from ganvas.training.loop import train

TABLES: dict[str, tuple[str, ...]] = {
    "Table 1: loss": ("L1", "cGAN", "L1 + cGAN"),
    "Table 2: generator": ("encoder-decoder, L1", "encoder-decoder, L1 + cGAN", "L1", "L1 + cGAN"),
    "Table 3: receptive field": ("1 pixel", "16 pixels", "L1 + cGAN", "286 pixels"),
}
"""The U-Net with L1 + cGAN and 70 pixels is the same run in all three tables."""
PUBLISHED = {
    "Table 1: loss": "L1 + cGAN .66, cGAN .57, L1 .42",
    "Table 2: generator": "L1 + cGAN .55, L1 .48, encoder-decoder, L1 .35, encoder-decoder, L1 + cGAN .29",
    "Table 3: receptive field": "L1 + cGAN .66, 16 pixels .65, 286 pixels .42, 1 pixel .39",
}
"""Per-pixel accuracy of a segmentation network on photos made from Cityscapes labels, best first."""
HD = ("pix2pix", "HD losses", "HD losses, VGG16", "HD, global generator")
FRECHET = "Frechet distance"
MEASURES = (
    Measure(name="l1", caption="L1"),
    Measure(name="psnr", caption="PSNR (dB)", larger_is_better=True),
    Measure(name="lpips", caption="LPIPS"),
    Measure(name="frechet", caption=FRECHET),
)
QUIET = {"checkpoint_every": 10**9, "validate_every": 10**9, "sample_every": 10**9, "validation_pictures": 1}
"""Settings without checkpoints, validations and previews during the training time."""
NUM_SHOWN = 6
SMALLEST_FOR_THREE = 93
"""Smallest crop side for three discriminator scales of 70 pixels; smaller crops have two, as in the released code."""
SIZES = {"facades": 256, "restore": 64}
"""Task -> crop side of its recipe."""


@dataclass(frozen=True)
class Job:
    """Training of a variant with one seed."""

    variant: str
    config: RunConfig
    out: Path
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Return the name of its run folder and result."""
        kept = "".join(letter if letter.isalnum() else " " for letter in self.variant.lower())
        return f"{'-'.join(kept.split())}-{self.config.training.seed}"

    @property
    def result(self) -> Path:
        """Return the path of its metrics."""
        return self.out / "results" / f"{self.name}.json"

    @property
    def run(self) -> Path:
        """Return the path of its run folder."""
        return self.out / "runs" / self.name

    def is_done(self) -> bool:
        """Return whether it is trained and measured with these settings."""
        return self.result.exists() and read_json(self.result)["settings"] == self.settings


def ablations(method: Pix2PixConfig) -> dict[str, Pix2PixConfig]:
    """Return the variants in tables 1 to 3 of the paper."""
    l1_alone: dict[str, Any] = {"adversarial_weight": 0.0}
    without_skips: dict[str, Any] = {"generator": "encoder_decoder"}
    changes: dict[str, dict[str, Any]] = {
        "L1 + cGAN": {},
        "L1": l1_alone,
        "cGAN": {"l1_weight": 0.0},
        "encoder-decoder, L1": without_skips | l1_alone,
        "encoder-decoder, L1 + cGAN": without_skips,
        "1 pixel": {"receptive_field": 1},
        "16 pixels": {"receptive_field": 16},
        "286 pixels": {"receptive_field": 286},
    }
    return {name: replace(method, **changed) for name, changed in changes.items()}


def against_hd(method: Pix2PixConfig, task: str, size: int) -> dict[str, Pix2PixConfig]:
    """Return pix2pix, its generator with the losses of pix2pixHD, and pix2pixHD with its own generator."""
    own = pix2pix_hd().method
    assert isinstance(own, Pix2PixHDConfig)
    scales = own.discriminator_scales if size >= SMALLEST_FOR_THREE else 2
    own = replace(own, width=method.width, discriminator_width=method.discriminator_width, discriminator_scales=scales)
    blocks = ("encoder_blocks", "middle_blocks", "decoder_blocks", "unshuffle")
    names = ("generator", "depth", "dropout", "norm", "residual", *blocks)
    losses = replace(own, **{name: getattr(method, name) for name in names})
    whole = replace(own, norm=method.norm, residual=True) if task == "restore" else own
    variants = (replace(method, adversarial_weight=1.0), losses, replace(losses, perceptual="vgg16"), whole)
    return dict(zip(HD, variants, strict=True))


def data_of(given: argparse.Namespace) -> PairedData:
    """Return the data config of the task at the given size."""
    size, folder = (given.size, given.size), given.data.absolute()
    if given.task == "facades":
        loaded = round(given.size * 286 / 256)
        return replace(paired(facades()), folder=folder, load_size=(loaded, loaded), crop_size=size)
    return replace(paired(restore()), folder=folder, split_file=write_split(folder, given.out), crop_size=size)


def paired(config: RunConfig) -> PairedData:
    """Return the data config of a run on pairs."""
    assert isinstance(config.data, PairedData)
    return config.data


def variants_of(given: argparse.Namespace) -> dict[str, Pix2PixConfig]:
    """Return variant -> method config."""
    recipe = facades() if given.task == "facades" else restore()
    assert isinstance(recipe.method, Pix2PixConfig)
    method = replace(recipe.method, width=given.width, discriminator_width=given.width, depth=given.depth)
    known = against_hd(method, given.task, given.size) if given.compare == "hd" else ablations(method)
    if unknown := set(given.only or ()) - known.keys():
        raise SystemExit(f"there is no variant {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    return {name: one for name, one in known.items() if not given.only or name in given.only}


def jobs_of(given: argparse.Namespace) -> list[Job]:
    """Return a job for every variant and seed, seed by seed."""
    data = data_of(given)
    recipe = (facades() if given.task == "facades" else restore()).training
    epochs = 1e6
    if given.images:
        epochs = given.images / len(build_cache(data, "train", cache_folder() / "pictures"))
    # Constant rate, because the number of epochs in the minutes is unknown
    training = replace(
        recipe, epochs=epochs, minutes=given.minutes, constant_fraction=1.0, precision="auto", threads=1, device="cpu",
        ema_half_life=3000.0 if given.task == "restore" else 0.0, **QUIET,
    )  # fmt: skip
    names = ("compare", "task", "minutes", "images", "width", "size", "depth", "pictures")
    settings = {name: getattr(given, name) for name in names}
    return [
        Job(variant, RunConfig(method=method, data=data, training=replace(training, seed=seed)), given.out, settings)
        for seed in given.seeds
        for variant, method in variants_of(given).items()
    ]


@cache
def held_pictures(data: PairedData, limit: int) -> TestPictures:
    """Return at most `limit` evenly spaced test pairs, degraded as in validation and admitted by the content gate."""
    pictures = build_cache(data, "test", cache_folder() / "pictures")
    specs = {"a": pictures.a.spec, "b": pictures.b.spec}
    sides: AdmittedSides = {"a": {}, "b": {}}
    chosen = set(evenly(len(pictures), limit))
    for index, (name, source, target) in enumerate(evaluation_pairs(pictures, data)):
        if index in chosen:
            for side, image in (("a", source), ("b", target)):
                sides[side][name] = admit(picture_from_signed(image, specs[side]), name=f"{name} ({side})")  # type: ignore[index]
    return TestPictures("test", sides, specs, paired=True)  # type: ignore[arg-type]


@cache
def metric_networks_of(data: PairedData, limit: int) -> MetricNetworks:
    return load_metric_networks(held_pictures(data, limit))


def figures(measured: Measured) -> dict[str, float]:
    """Return metric -> mean over the pictures, for the metrics that were computed."""
    found = {name: measured.fidelity[name].mean for name in ("l1", "psnr", "lpips") if name in measured.fidelity}
    for distance in measured.distances["a_to_b"]:
        if distance.measure == FRECHET:  # with Inception's weights there is an FID too
            found["frechet"] = distance.value
    return {name: value for name, value in found.items() if value is not None}


def run_job(job: Job) -> bool:
    """Train the variant if needed, measure it, and write the result; return False if the training was interrupted."""
    torch.set_num_threads(1)
    print(f"{job.name}: begins", flush=True)
    try:
        with processor_time():
            trained = train(job.config, job.run, resume=True, quiet=True)
    except WeightsError as error:
        print(f"{job.name} is left out: {error}", flush=True)
        return True
    if trained.stopped == "interrupted":
        return False
    data, limit = paired(job.config), job.settings["pictures"]
    measured = measure_run(job.run, held_pictures(data, limit), metric_networks_of(data, limit), device="cpu")
    result = {
        "variant": job.variant,
        "seed": job.config.training.seed,
        "images": trained.images_seen,
        "seconds": round(trained.seconds, 1),
        "refused": measured.translated["a_to_b"].refused,
        "figures": figures(measured),
        "settings": job.settings,
    }
    job.result.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.result, result)
    print(f"{job.name}: {trained.images_seen} images, {result['figures']}", flush=True)
    return True


def run_all(jobs: Sequence[Job], processes: int) -> bool:
    """Run the unfinished jobs in order, `processes` at a time; return False if a training was interrupted."""
    missing = [job for job in jobs if not job.is_done()]
    if processes == 1:
        return all(run_job(job) for job in missing)
    running, finished = set[Future[bool]](), True
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        while finished and (missing or running):
            while missing and len(running) < processes:  # a queued job would start after an interruption
                running.add(pool.submit(run_job, missing.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            results = [one.result() for one in done]
            finished = all(results)
    return finished


def write_grid(jobs: Sequence[Job], test: TestPictures, path: Path) -> None:
    """Write a grid: rows are pictures; columns are input, each variant's first seed, target. All passed the gate."""
    names = list(test.sides["a"])
    names = [names[index] for index in evenly(len(names), NUM_SHOWN)]
    shown = {job.variant: job.run for job in reversed(jobs) if job.is_done()}
    columns: dict[str, dict[str, AdmittedPicture]] = {"input": test.sides["a"]}
    for variant in dict.fromkeys(job.variant for job in jobs if job.variant in shown):
        translator = Translator.load(shown[variant], snapshot="last", device="cpu")
        columns[variant] = translate_all(translator, {name: test.sides["a"][name] for name in names}).outputs
    columns["target"] = test.sides["b"]
    cells = [[column.get(name) for column in columns.values()] for name in names]
    pictures = [[one.picture if one else None for one in row] for row in cells]
    grid = make_grid(pictures, captions=list(columns), row_labels=names)
    admitted = [one for row in cells for one in row if one]
    model = ", ".join(shown)
    label = SyntheticLabel(software=f"ganvas {version('ganvas')}", model=model, note="The inner columns are synthetic.")
    write_synthetic(path, as_sheet(Picture(grid), admitted, name=path.name), label)


def report(jobs: Sequence[Job], given: argparse.Namespace) -> str:
    """Write the tables and the grid of the finished jobs; return the tables as Markdown."""
    results = [read_json(job.result) for job in jobs if job.is_done()]
    names = ("variant", "seed", "images", "figures")
    trials = [Trial(**{name: result[name] for name in names}) for result in results]
    data = paired(jobs[0].config)
    test, metric_networks = held_pictures(data, given.pictures), metric_networks_of(data, given.pictures)
    unchanged = figures(identity_baseline(test, metric_networks))
    titles = TABLES if given.compare == "ablations" else {f"pix2pixHD and pix2pix, {given.task}": HD}
    tables = list[Table]()
    for title, variants in titles.items():
        table = seed_table(title, trials, variants, MEASURES)
        first = {"": "input", "seeds": None, "images": None}
        table.rows.insert(0, first | {one.caption: unchanged.get(one.name) for one in MEASURES})
        if title in PUBLISHED:
            table.notes.append(f"Published (per-pixel accuracy, Cityscapes), best first: {PUBLISHED[title]}.")
        tables.append(table)
    record = {
        "machine": machine(), "settings": jobs[0].settings, "pictures": len(test.sides["a"]), "input": unchanged,
        "features": metric_networks.real["b"][0].extractor.space.name, "results": results,
        "tables": [table.as_record() for table in tables],
    }  # fmt: skip
    text = markdown(tables)
    write_json(given.out / "ablations.json", record)
    write_text(given.out / "ablations.md", f"{text}\n")
    write_grid(jobs, test, given.out / "grid.png")
    return text


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder facades or, for restore, flowers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--compare", choices=("ablations", "hd"), default="ablations")
    parser.add_argument("--task", choices=("facades", "restore"), default="facades")
    parser.add_argument("--minutes", type=float, default=8.0, help="training minutes per variant and seed")
    parser.add_argument("--images", type=int, help="stop a training run after this many images, if that is earlier")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="only these variants")
    parser.add_argument("--width", type=int, default=32, help="width of generators and discriminators")
    parser.add_argument("--size", type=int, help="crop side in pixels; unset: 256, and 64 for restore")
    parser.add_argument("--depth", type=int, help="depth of the U-Net; unset: what the size allows, 4 for restore")
    parser.add_argument("--pictures", type=int, default=200, help="maximum number of pictures to measure")
    parser.add_argument("--processes", type=int, default=1, choices=(1, 2), help="simultaneous training runs")
    given = parser.parse_args()
    given.size = given.size or SIZES[given.task]
    given.depth = given.depth or (4 if given.task == "restore" else None)
    if given.task == "restore" and given.compare != "hd":
        parser.error("the ablations need the task facades; use --compare hd for restore")
    return given


def main() -> None:
    """Train and measure what is missing, then write the tables and the grid."""
    given = arguments()
    jobs = jobs_of(given)
    try:
        finished = run_all(jobs, given.processes)
    except KeyboardInterrupt:  # Ctrl-C reaches every process, and each saves its training
        finished = False
    if any(job.is_done() for job in jobs):
        print(report(jobs, given))
    if not finished:
        raise SystemExit("interrupted: run the same command to resume")


if __name__ == "__main__":
    main()
