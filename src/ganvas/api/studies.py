"""Commands that study methods, covers and the machine: demo, density, compare, benchmark, audit, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ganvas.api.types import Threads
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads
from ganvas.methods.config import Direction
from ganvas.progress import progress_bars

if TYPE_CHECKING:
    from ganvas.comparison.result import Comparison
    from ganvas.diagnosis.doctor import Diagnosis
    from ganvas.evaluation.super_resolution import SuperResolutionTable
    from ganvas.privacy_audit.result import Audit
    from ganvas.toy.study import Study

Runs = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")]


def demo(*, out: Path = Path("demo"), minutes: float = 4.0, threads: Threads = None) -> str:
    """Run the whole workflow on photographs inside two packages: find, cover, train to restore, measure.

    Needs the extra `demo` (scikit-image and scikit-learn, for their photographs). Writes report.html and metrics.json.

    Args:
        out: the folder to write; an earlier demo in it is replaced.
        minutes: training time over both models.
        threads: number of CPU threads; unset: as many as are fastest.
    """
    from ganvas.demonstration.run import run_demo

    with using_threads(threads):
        return str(run_demo(out, minutes=minutes))


def doctor(*, device: str = "auto", seconds: float = 10.0, threads: Threads = None) -> Diagnosis:
    """Report what is fast on this machine, what is missing and how long recipes take.

    Downloads nothing.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        seconds: measuring time.
        threads: number of CPU threads; unset: as many as are fastest.
    """
    from ganvas.diagnosis.doctor import diagnose

    with using_threads(threads):
        return diagnose(device=device, seconds=seconds)


def density(
    question: Annotated[Literal["sample", "likelihood", "gan", "collapse", "dual"], tyro.conf.arg(metavar="QUESTION")],
    /,
    *,
    out: Path,
    seed: int = 0,
    steps: int | None = None,
    threads: Threads = None,
) -> Study:
    """Study the ideas behind the methods on densities with known answers; write a picture and figures.

    Needs matplotlib. The questions: `sample`, drawing from a density by its inverse CDF; `likelihood`, maximum
    likelihood as minimum KL divergence; `gan`, a GAN, a Wasserstein GAN and a conditional GAN; `collapse`, what the
    cycle term keeps; `dual`, dual learning with two translators.

    Args:
        question: sample, likelihood, gan, collapse or dual.
        out: the folder to write.
        seed: seed of every draw.
        steps: training steps; unset: as many as the question needs.
        threads: number of CPU threads; unset: all.
    """
    from ganvas.toy.study import study

    with using_threads(threads), progress_bars() as tell:
        return study(question, out, seed=seed, steps=steps, tell=tell)


def compare(
    *,
    data: Path,
    methods: tuple[str, ...],
    out: Path,
    minutes: float | None = None,
    epochs: float | None = None,
    crop_size: tuple[int, int] = (128, 128),
    load_size: tuple[int, int] | None = None,
    direction: Direction = "a_to_b",
    width: int | None = None,
    batch_size: int | None = None,
    precision: PrecisionChoice | None = None,
    pictures: int = 200,
    seed: int = 0,
    device: str = "auto",
    threads: Threads = None,
) -> Comparison:
    """Train several recipes under the same budget on the same data, and write one page, one table and one grid.

    Writes report.html, comparison.json and grid.png; each run lies in OUT/runs. The same command resumes.

    Args:
        data: pairs, or two sides that need not correspond, with a test or a val split.
        methods: recipes, such as cyclegan cut pix2pix; of pairs, those that need none see the two sides apart.
        out: the folder to write.
        minutes: training time per method.
        epochs: per method; unset: its recipe's, which the minutes may cut short.
        crop_size: height and width of a training crop, and of the pictures measured.
        load_size: height and width before cropping; unset: 286/256 of the crop's.
        direction: of pairs; b_to_a translates b to a.
        width: channels of the first layers, for methods with such a setting.
        batch_size: pictures a step; unset: each recipe's.
        precision: of the forward passes, where auto is bfloat16 if that is fast here; unset: each recipe's.
        pictures: measure on at most so many of each side, evenly spread.
        seed: seed of every run.
        device: auto, cpu, cuda, cuda:1 or mps.
        threads: number of CPU threads; unset: as many as are fastest.
    """
    from ganvas.comparison.compare import compare as compare_methods
    from ganvas.comparison.plan import ComparisonConfig

    settings = ComparisonConfig(
        data=data, minutes=minutes, epochs=epochs, crop_size=crop_size, load_size=load_size, direction=direction,
        width=width, batch_size=batch_size, precision=precision, seed=seed, device=device,
    )  # fmt: skip
    with using_threads(threads):
        return compare_methods(methods, settings, out, pictures=pictures)


def benchmark(
    task: Annotated[Literal["sr"], tyro.conf.arg(metavar="TASK")],
    runs: Runs,
    /,
    *,
    data: Path,
    out: Path,
    device: str = "auto",
    download: bool = False,
    threads: Threads = None,
) -> SuperResolutionTable:
    """Measure trained runs on sets of pictures as in the papers, beside interpolation baselines.

    Args:
        task: sr, super-resolution: PSNR and SSIM on Y and LPIPS, of each picture and in the mean.
        runs: run folders; none for the rows of nearest neighbor and bicubic interpolation alone.
        data: a folder with a folder of high-resolution pictures for each set, such as Set5, Set14 and BSD100.
        out: the folder to write.
        device: auto, cpu, cuda, cuda:1 or mps.
        download: fetch the weights of LPIPS where they are not on this machine; else LPIPS is left out.
        threads: number of CPU threads; unset: all.
    """
    from ganvas.evaluation.super_resolution import benchmark_super_resolution

    assert task == "sr", task
    with using_threads(threads):
        return benchmark_super_resolution(runs, data, out, device=device, may_download=download)


def audit(
    folder: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
    /,
    *,
    out: Path,
    style: tuple[Literal["mosaic", "blur", "solid"], ...] = ("mosaic",),
    blocks: tuple[int, ...] = (32, 16, 8, 4),
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0),
    size: int = 128,
    minutes: float = 0.0,
    steps: int = 800,
    seed: int = 0,
    device: str = "auto",
    threads: Threads = None,
) -> Audit:
    """Measure how much covers hide: what attacks recover, and what retrained classifiers still recognize.

    Writes report.html, audit.json and grid.png. Ordinary pictures only: all of them pass the content gate.

    Args:
        folder: a folder of pictures for each kind; or such folders in train and in test.
        out: the folder to write.
        style: mosaic, blur, solid.
        blocks: mosaic blocks across the picture.
        sigmas: blur sigmas in pixels.
        size: side in pixels to which every picture is resized; a multiple of 16.
        minutes: training time of a restorer for each cover; 0: none.
        steps: training steps of the small classifier.
        seed: seed of the split and of all training.
        device: device of the restorers: auto, cpu, cuda, cuda:1 or mps.
        threads: number of CPU threads; unset: as many as are fastest.
    """
    from ganvas.privacy_audit.audit import audit as audit_covers
    from ganvas.privacy_audit.config import AuditConfig

    config = AuditConfig(
        styles=style, blocks=blocks, sigmas=sigmas, size=size, minutes=minutes, steps=steps, seed=seed, device=device
    )
    with using_threads(threads):
        return audit_covers(folder, out, config)
