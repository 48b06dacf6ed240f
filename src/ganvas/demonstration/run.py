"""End-to-end demonstration, written with the public functions."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from ganvas.content_gate import gate
from ganvas.data.config import PairedData
from ganvas.demonstration import DemoConfig
from ganvas.demonstration.film import FOLDER, make_film
from ganvas.demonstration.photographs import (
    BLOCK,
    PHOTOGRAPHS,
    RENDITIONS,
    Conclusion,
    Covered,
    Restoration,
    conclude,
    cover_photograph,
    locate_photograph,
    mean_scores,
    measure_renditions,
)
from ganvas.demonstration.report import DemoReport, write_report
from ganvas.errors import InputError, PolicyRefusal
from ganvas.filesystem import claimed, files_in, require_apart
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.hardware.threads import core_count, given_threads, processor_name
from ganvas.image.cover import block_means
from ganvas.image.files import read_image, write_image
from ganvas.image.picture import Picture
from ganvas.inference.folder import translate_files
from ganvas.localization import load_classifier
from ganvas.methods import Pix2PixConfig
from ganvas.recipes import restore
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.report import TrainingResult

ADVERSARIAL_WEIGHT = 0.1
"""Weight of the adversarial loss in the second run: at 1, as in pix2pix, stripes appear within minutes, and at .25 dots
in each block of smooth areas."""
TRAINING_PICTURES = 2 * sum(photograph.split == "train" for photograph in PHOTOGRAPHS)
"""Each photograph at full and at half its size, so that the network sees two scales of detail."""
PROBE_MINUTES = 0.05
"""Minutes of trial training that measure the speed, which determines the length of the learning-rate schedule."""


def learn(config: RunConfig, run: Path, *, minutes: float, probe: Path) -> TrainingResult:
    """Train a run for about `minutes`.

    Args:
        config: config of the run, except its length.
        run: the run folder to create.
        minutes: minutes of training, including the trials.
        probe: a temporary folder for the trials.
    """
    rate = highest_speed(config, probe)
    epochs = rate * 60 * (minutes - 2 * PROBE_MINUTES) / TRAINING_PICTURES
    # The limit in minutes ends the run in time if the machine became slower after the trial.
    training = replace(config.training, epochs=max(epochs, 1.0), minutes=1.1 * minutes)
    return require_complete(train(replace(config, training=training), run))


def highest_speed(config: RunConfig, probe: Path) -> float:
    """Return images per second with the fastest number of threads, all or one; training selects it automatically."""
    given = given_threads()
    counts = {1, torch.get_num_threads()} if given is None else {given}
    return max(
        trial(replace(config, training=replace(config.training, threads=threads)), probe) for threads in sorted(counts)
    )


def trial(config: RunConfig, folder: Path) -> float:
    """Measure images per second in a few seconds of training."""
    short = replace(config, training=replace(config.training, minutes=PROBE_MINUTES, validation_pictures=1))
    try:
        return require_complete(train(short, folder, quiet=True)).images_per_second
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_complete(result: TrainingResult) -> TrainingResult:
    """Return the result; raise KeyboardInterrupt if training was interrupted."""
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    return result


def demo_config(photographs: Path, *, adversarial_weight: float, start_from: Path | None = None) -> RunConfig:
    """Return the recipe `restore` on crops at the photographs' own size.

    Six photographs are few: a second size, rotations and jitter multiply them. Averaged weights suit a short training
    run.

    Args:
        photographs: the folder to train on.
        adversarial_weight: 0: L1 alone.
        start_from: a run with the initial weights.
    """
    config, every = restore(), 10_000
    assert isinstance(config.method, Pix2PixConfig), config
    assert isinstance(config.data, PairedData), config
    method = replace(config.method, receptive_field=34)
    return replace(
        config,
        method=replace(method, adversarial_weight=adversarial_weight),
        data=replace(
            config.data, folder=photographs, resize="none", strength=(BLOCK, BLOCK), rotate=True, jitter=0.3
        ),
        training=replace(
            config.training, epochs=1e6, batch_size=8, constant_fraction=0.3,
            learning_rate=2e-4 if adversarial_weight else config.training.learning_rate,
            precision="auto", ema_half_life=1000.0,
            start_from=start_from, sample_every=every, validate_every=every, checkpoint_every=every, log_every=320,
        ),
    )  # fmt: skip


SHARES = {"l1": 0.7, "l1_gan": 0.3}
"""Run -> its share of the training time. The second starts from the weights of the first, as SRGAN does from
SRResNet."""
TITLES = {"l1": "L1 alone", "l1_gan": "L1 and the adversarial term"}
PROBE = "runs/.probe"
RUNS = tuple(f"runs/{name}" for name in SHARES)
OWN = ("photographs", "covered", "masks", "overlays", *RUNS, PROBE, "restored", FOLDER, "report.html", "metrics.json")
"""Names of the files and folders that a demo writes and replaces; it touches nothing else in the folder."""
MARK = ".ganvas-demo"
"""Name of the marker file in the folder of a demo; without it, files of these names are not replaced."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Result of the demonstration.

    Attributes:
        report: path of the page.
        metrics: content of metrics.json.
        unseen: rendition -> mean metrics over the held-out photographs.
        conclusion: conclusion from these metrics.
        left_out: photograph -> reason why it is not measured.
    """

    report: Path
    metrics: dict[str, object]
    unseen: dict[str, dict[str, float]]
    conclusion: Conclusion
    left_out: dict[str, str]

    def __str__(self) -> str:
        rows = "\n".join(
            f"  {name:<16} {scores['psnr']:6.2f} dB   SSIM {scores['ssim']:.3f}" for name, scores in self.unseen.items()
        )
        left_out = [f"{name} is excluded: {why}" for name, why in self.left_out.items()]
        closing = "\n".join([*self.conclusion.sentences, *left_out, f"Report: {self.report}"])
        return f"Mean metrics inside the covered regions of held-out photographs:\n{rows}\n{closing}"


def run_demo(config: DemoConfig) -> DemoResult:
    """Find objects, cover them, train models to restore them, and measure the results.

    Args:
        config: output folder and training time; files of an earlier demo in the folder are replaced.

    Raises:
        InputError: the folder contains files of the same names that no demo wrote.
        MissingDependency: the packages that contain the photographs are not installed.
        PolicyRefusal: the content gate refused a photograph, or every restored one.
        KeyboardInterrupt: training was interrupted, by Ctrl-C or SIGTERM.
    """
    with claimed(config.out):
        return _run_demo(config.out, config.minutes)


def _run_demo(out: Path, minutes: float) -> DemoResult:
    """Run the demonstration in a folder that this process has locked."""
    started = time.monotonic()
    with step(1, "unpack nine photographs"):
        unpack(out)
    with step(2, "locate objects with a classifier and cover them with a mosaic"):
        covered = cover_all(out)
    results: dict[str, TrainingResult] = {}
    for number, (name, share) in enumerate(SHARES.items(), start=3):
        with step(number, f"train to restore, {TITLES[name]}"):
            sharpens = name == "l1_gan"
            config = demo_config(
                out / "photographs",
                adversarial_weight=ADVERSARIAL_WEIGHT if sharpens else 0.0,
                start_from=out / "runs" / "l1" if sharpens else None,
            )
            results[name] = learn(config, out / "runs" / name, minutes=minutes * share, probe=out / PROBE)
    with step(5, "restore the held-out photographs and measure"):
        restorations, left_out = restore_and_measure(out, covered)
        unseen = {name: mean_scores(restorations, name) for name in RENDITIONS}
        conclusion = conclude(unseen)
        shown = restorations[0].covered
        run = out / "runs" / conclusion.recommended
        film = make_film(shown.photograph.name, shown.original, run, out)
    metrics = as_metrics(restorations, results, conclusion, seconds=time.monotonic() - started)
    report = write_report(DemoReport(out, covered, restorations, results, metrics, conclusion, left_out, film))
    write_json(out / "metrics.json", metrics)
    return DemoResult(report=report, metrics=metrics, unseen=unseen, conclusion=conclusion, left_out=left_out)


def restore_and_measure(out: Path, covered: list[Covered]) -> tuple[list[Restoration], dict[str, str]]:
    """Restore the held-out photographs with both runs, and measure them.

    Returns:
        The restorations, and photograph -> reason, for photographs with a restoration that the content gate refuses.

    Raises:
        PolicyRefusal: the gate refuses a restoration of every photograph.
    """
    reasons = dict[str, PolicyRefusal]()
    for name in SHARES:
        run, restored = out / "runs" / name, out / "restored" / name
        try:
            translate_files(run, out / "covered", restored, mask=out / "masks", progress=False)
        except PolicyRefusal as refusal:  # the restorations of the others are still written
            reasons[name] = refusal
    restorations, left_out = list[Restoration](), dict[str, str]()
    for one in (one for one in covered if one.photograph.split == "unseen"):
        files = restored_files(out, one)
        if missing := [name for name, path in files.items() if not path.exists()]:
            left_out[one.photograph.name] = str(reasons[missing[0]])
        else:
            restorations.append(measure_renditions(one, restored=files))
    if not restorations:
        raise next(iter(reasons.values()))
    return restorations, left_out


@contextmanager
def step(number: int, what: str) -> Iterator[None]:
    """Print a heading of a step, and its duration at the end of the block."""
    console, started = Console(stderr=True), time.monotonic()
    console.print(f"[bold]{number} of 5[/bold]  {what}")
    yield
    console.print(f"        done in {time.monotonic() - started:.0f} s")


def unpack(out: Path) -> None:
    """Write the photographs as PNG into OUT/photographs/train and test, the layout `single` of `PairedData`.

    Those for training are also written at half their size.

    Raises:
        PolicyRefusal: the gate refused one; nothing was written or removed.
    """
    paths = {
        photograph: locate_photograph(photograph) for photograph in PHOTOGRAPHS
    }  # fail before anything is written if a package is missing
    require_apart(files_in(out), paths.values())
    pictures = [(photograph, read_image(path)) for photograph, path in paths.items()]
    for photograph, picture in pictures:
        gate.admit(picture, name=photograph.name)
    clear(out)
    for photograph, picture in pictures:
        split = "train" if photograph.split == "train" else "test"
        folder = out / "photographs" / split
        write_image(folder / f"{photograph.name}.png", picture)
        if photograph.split == "train":
            write_image(folder / f"{photograph.name}-half.png", Picture(block_means(picture.pixels, 2)))


def clear(out: Path) -> None:
    """Remove the files of an earlier demo.

    Raises:
        InputError: no demo wrote it.
    """
    there = [name for name in OWN if (out / name).exists()]
    if there and not (out / MARK).exists():
        raise InputError(f"{out} holds {', '.join(there)}, which no demo wrote; choose another folder with --out")
    write_text(out / MARK, "The next demo in this folder replaces the files of this one.\n")
    for path in (out / name for name in there):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def cover_all(out: Path) -> list[Covered]:
    """Find and cover each photograph's region; write the unseen ones for `translate`."""
    classifier = load_classifier("imagenet")
    covered = [cover_photograph(photograph, out, classifier) for photograph in PHOTOGRAPHS]
    for one in covered:
        if one.photograph.split == "unseen":
            write_image(out / "covered" / f"{one.photograph.name}.png", one.mosaicked)
            write_image(out / "masks" / f"{one.photograph.name}.png", one.mask_picture)
    return covered


def restored_files(out: Path, covered: Covered) -> dict[str, Path]:
    """Run -> the restored picture."""
    return {name: out / "restored" / name / f"{covered.photograph.name}.png" for name in SHARES}


def as_metrics(
    restorations: list[Restoration], results: dict[str, TrainingResult], conclusion: Conclusion, *, seconds: float
) -> dict[str, object]:
    """Return the content of metrics.json; `restored` contains the results of the recommended run."""
    best = {"restored": conclusion.recommended}
    keys = {"mosaic": "mosaic", "bicubic": "bicubic", **best, "restored_l1": "l1", "restored_l1_gan": "l1_gan"}
    trained = sum(result.images_seen for result in results.values())
    return {
        "seconds": round(seconds, 1),
        "train_images_per_second": round(trained / sum(result.seconds for result in results.values()), 1),
        "unseen": {key: mean_scores(restorations, rendition) for key, rendition in keys.items()},
        "recommended": conclusion.recommended,
        "nearest": dict(conclusion.nearest),
        "conclusion": list(conclusion.sentences),
        "machine": describe_machine(),
        "runs": {
            name: {"images": result.images_seen, "images_per_second": round(result.images_per_second, 1)}
            for name, result in results.items()
        },
        "per_photograph": {restoration.covered.photograph.name: restoration.scores for restoration in restorations},
    }


def describe_machine(today: date | None = None) -> dict[str, str]:
    """Return date (ISO 8601), processor, cores, system, and the versions of ganvas, PyTorch and Python."""
    return {
        "date": (today or date.today()).isoformat(),
        "processor": processor_name(),
        "cores": str(core_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "ganvas": version("ganvas"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }
