"""Verbs that measure runs as the papers do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ganvas.api.words import Threads
from ganvas.hardware.threads import using_threads

if TYPE_CHECKING:
    from ganvas.evaluation.super_resolution import SuperResolutionTable

Runs = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")]


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
    """Measure trained runs on sets of pictures as the papers do, beside the methods that learn nothing.

    Args:
        task: sr, super-resolution: PSNR and SSIM on Y and LPIPS, of each picture and in the mean.
        runs: run folders; none for the rows of nearest neighbour and bicubic interpolation alone.
        data: a folder with a folder of high-resolution pictures for each set, such as Set5, Set14 and BSD100.
        out: the folder to write.
        device: auto, cpu, cuda, cuda:1 or mps.
        download: fetch the weights of LPIPS where they are not on this machine; else LPIPS is left out.
        threads: of the CPU to compute with; unset: all.
    """
    from ganvas.evaluation.super_resolution import benchmark_super_resolution

    assert task == "sr", task
    with using_threads(threads):
        return benchmark_super_resolution(runs, data, out, device=device, may_download=download)
