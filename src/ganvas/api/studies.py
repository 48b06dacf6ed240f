"""Verbs that show what the rest rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ganvas.api.words import Threads
from ganvas.bulk.progress import telling
from ganvas.hardware.threads import using_threads

if TYPE_CHECKING:
    from ganvas.diagnosis.doctor import Diagnosis
    from ganvas.toy.study import Study


def demo(*, out: Path = Path("demo"), minutes: float = 4.0, threads: Threads = None) -> str:
    """The main job on photographs inside two packages: find, mosaic, learn to restore, judge.

    Needs the extra `demo` (scikit-image and scikit-learn, for their photographs). Writes report.html and metrics.json.

    Args:
        out: the folder to write; an earlier demo in it is replaced.
        minutes: of training, over both models.
        threads: of the CPU to compute with; unset: as many as are fastest.
    """
    from ganvas.demonstration.run import run_demo

    with using_threads(threads):
        return str(run_demo(out, minutes=minutes))


def doctor(*, device: str = "auto", seconds: float = 10.0, threads: Threads = None) -> Diagnosis:
    """Look at the machine and the installation: what is fast here, what is missing, how long recipes take.

    Fetches nothing.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        seconds: of measuring.
        threads: of the CPU to compute with; unset: as many as are fastest.
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
    """The ideas behind the methods on numbers and points, where every answer is known: a picture and figures.

    Needs matplotlib. The questions: `sample`, drawing from a density by its inverse CDF; `likelihood`, maximum
    likelihood as minimum KL divergence; `gan`, a GAN, a Wasserstein GAN and a conditional GAN; `collapse`, what the
    cycle term keeps; `dual`, dual learning with two translators.

    Args:
        question: sample, likelihood, gan, collapse or dual.
        out: the folder to write.
        seed: of everything drawn.
        steps: of training; unset: as many as the question needs.
        threads: of the CPU to compute with; unset: all.
    """
    from ganvas.toy.study import study

    with using_threads(threads), telling() as tell:
        return study(question, out, seed=seed, steps=steps, tell=tell)
