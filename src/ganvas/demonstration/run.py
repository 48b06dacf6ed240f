"""The demo from end to end, every step through the parts that a user would call."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ganvas import policy
from ganvas.demonstration.judge import RENDITIONS, Judgement, judge, mean_scores
from ganvas.demonstration.learn import demo_config, learn
from ganvas.demonstration.photographs import PHOTOGRAPHS, locate_photograph
from ganvas.demonstration.regions import Covered, cover_photograph
from ganvas.demonstration.report import DemoReport, write_report
from ganvas.errors import ConfigError, InputError
from ganvas.image.atomic import write_json, write_text
from ganvas.image.files import read_image, write_image
from ganvas.inference.folder import translate_files
from ganvas.localization import load_classifier
from ganvas.training.result import TrainingResult

SHARES = {"l1": 0.5, "l1_gan": 0.5}
"""Run -> its share of the training time. The second goes on from the first, as SRGAN does from SRResNet."""
TITLES = {"l1": "L1 alone", "l1_gan": "L1 and the adversarial term"}
PROBE = "runs/.probe"
RUNS = tuple(f"runs/{name}" for name in SHARES)
OWN = ("photographs", "covered", "masks", "overlays", *RUNS, PROBE, "restored", "report.html", "metrics.json")
"""What a demo writes, and replaces when it is run again; nothing else in the folder is touched."""
MARK = ".ganvas-demo"
"""Lies in the folder of a demo: without it, things of those names are somebody else's."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found; printed, the figures and where the report lies."""

    report: Path
    metrics: dict[str, object]
    unseen: dict[str, dict[str, float]]

    def __str__(self) -> str:
        rows = "\n".join(
            f"  {name:<16} {scores['psnr']:6.2f} dB   SSIM {scores['ssim']:.3f}" for name, scores in self.unseen.items()
        )
        return f"Inside the covered regions of photographs never trained on:\n{rows}\nReport: {self.report}"


def run_demo(out: Path, *, minutes: float = 4.0) -> DemoResult:
    """Find, mosaic, learn to restore, judge.

    Args:
        out: the folder to write; what an earlier demo left there is replaced.
        minutes: of training, over both models.

    Raises:
        ConfigError: no time to train.
        InputError: the folder holds things of the same names that no demo made.
        MissingDependency: the packages that carry the photographs are not installed.
        PolicyRefusal: the content gate refused a photograph or a restored one.
        KeyboardInterrupt: training was interrupted, by Ctrl-C or SIGTERM.
    """
    if not minutes > 0:
        raise ConfigError(f"minutes {minutes} must be positive")
    started = time.monotonic()
    with step(1, "unpack nine photographs"):
        unpack(out)
    with step(2, "find what a classifier sees, and mosaic it"):
        covered = cover_all(out)
    results: dict[str, TrainingResult] = {}
    for number, (name, share) in enumerate(SHARES.items(), start=3):
        with step(number, f"learn to restore, {TITLES[name]}"):
            sharpens = name == "l1_gan"
            config = demo_config(
                out / "photographs",
                adversarial_weight=float(sharpens),
                start_from=out / "runs" / "l1" if sharpens else None,
            )
            results[name] = learn(config, out / "runs" / name, minutes=minutes * share, probe=out / PROBE)
    with step(5, "restore the photographs never trained on, and judge"):
        unseen = [one for one in covered if one.photograph.split == "unseen"]
        for name in SHARES:
            translate_files(
                out / "runs" / name, out / "covered", out / "restored" / name, mask=out / "masks", progress=False
            )
        judgements = [judge(one, restored=restored_files(out, one)) for one in unseen]
    metrics = as_metrics(judgements, results, seconds=time.monotonic() - started)
    report = write_report(DemoReport(out, covered, judgements, results, metrics))
    write_json(out / "metrics.json", metrics)
    return DemoResult(
        report=report, metrics=metrics, unseen={name: mean_scores(judgements, name) for name in RENDITIONS}
    )


@contextmanager
def step(number: int, what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    console, started = Console(stderr=True), time.monotonic()
    console.print(f"[bold]{number} of 5[/bold]  {what}")
    yield
    console.print(f"        done in {time.monotonic() - started:.0f} s")


def unpack(out: Path) -> None:
    """The photographs as PNG in OUT/photographs/train and test, the layout `single` of `PairedData`.

    Raises:
        PolicyRefusal: the gate refused one; nothing was written or removed.
    """
    pictures = [(photograph, read_image(locate_photograph(photograph))) for photograph in PHOTOGRAPHS]
    for photograph, picture in pictures:
        policy.admit(picture, name=photograph.name)
    clear(out)
    for photograph, picture in pictures:
        split = "train" if photograph.split == "train" else "test"
        write_image(out / "photographs" / split / f"{photograph.name}.png", picture)


def clear(out: Path) -> None:
    """Remove what an earlier demo wrote.

    Raises:
        InputError: no demo wrote it.
    """
    there = [name for name in OWN if (out / name).exists()]
    if there and not (out / MARK).exists():
        raise InputError(f"{out} holds {', '.join(there)}, which no demo made; choose another folder with --out")
    write_text(out / MARK, "The next demo written here replaces what this one made.\n")
    for path in (out / name for name in there):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def cover_all(out: Path) -> list[Covered]:
    """Each photograph's region found and mosaicked; those never trained on are written for `translate`."""
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


def as_metrics(judgements: list[Judgement], results: dict[str, TrainingResult], *, seconds: float) -> dict[str, object]:
    """What metrics.json holds. `restored` is L1 alone, which the demo recommends; the other is `restored_l1_gan`."""
    keys = {"mosaic": "mosaic", "bicubic": "bicubic", "restored": "l1", "restored_l1_gan": "l1_gan"}
    trained = sum(result.images_seen for result in results.values())
    return {
        "seconds": round(seconds, 1),
        "train_images_per_second": round(trained / sum(result.seconds for result in results.values()), 1),
        "unseen": {key: mean_scores(judgements, rendition) for key, rendition in keys.items()},
        "recommended": "l1",
        "runs": {
            name: {"images": result.images_seen, "images_per_second": round(result.images_per_second, 1)}
            for name, result in results.items()
        },
        "per_photograph": {judgement.covered.photograph.name: judgement.scores for judgement in judgements},
    }
