"""Verbs that use runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganvas.api.words import Out, RunFolder, Snapshot, Source, Threads
from ganvas.bulk.ray_backend import Engine
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads
from ganvas.methods.config import Direction

if TYPE_CHECKING:
    from ganvas.evaluation.evaluate import Evaluation
    from ganvas.inference.folder import TranslationReport
    from ganvas.inference.sampling import SamplingReport
    from ganvas.inference.translator import Translator


def translate(
    run: RunFolder,
    source: Source,
    out: Out,
    /,
    *,
    mask: Path | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    suffix: str | None = None,
    recursive: bool = False,
    snapshot: Snapshot = "auto",
    device: str = "auto",
    seed: int = 0,
    precision: PrecisionChoice = "float32",
    direction: Direction = "a_to_b",
    engine: Engine = "local",
    workers: int | None = None,
    threads: Threads = None,
) -> TranslationReport:
    """Apply a trained run to a picture or a folder; names, sizes and formats stay, and the results are labelled.

    Args:
        run: the run folder.
        source: a picture or a folder.
        out: a folder; for one picture also the file to write.
        mask: a picture, or a folder with one of each stem: only what is white in it is replaced.
        tile: largest side that the network is given at once; unset: whole pictures.
        overlap: surroundings that each tile sees on each side; unset: as much as exactness needs.
        suffix: write this format, such as .tif, instead of each picture's own.
        recursive: folders below the source too.
        snapshot: the best by validation, the last, or the best where there is one.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: of the method's noise, if it has any.
        precision: of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs
            with such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32.
        direction: b_to_a for the way back, of methods that learn both, such as CycleGAN.
        engine: this process (local), or ray for the workers of a Ray cluster, for very large folders; needs Ray Data.
        workers: of ray; unset: one a core, or one a GPU.
        threads: of the CPU to compute with; unset: all.
    """
    from ganvas.content_gate.gate import loading_scorer

    with using_threads(threads), loading_scorer():  # while torch is imported and the run is loaded
        from ganvas.inference.folder import translate_files

        return translate_files(
            run, source, out, mask=mask, tile=tile, overlap=overlap, suffix=suffix, recursive=recursive, seed=seed,
            snapshot=snapshot, device=device, precision=precision, direction=direction, engine=engine, workers=workers,
        )  # fmt: skip


def sample(
    run: RunFolder,
    out: Out,
    /,
    *,
    count: int = 64,
    seed: int = 0,
    suffix: str | None = None,
    snapshot: Snapshot = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "float32",
    threads: Threads = None,
) -> SamplingReport:
    """Draw pictures from noise by a trained run whose method can: VAE, VAE/GAN, CoGAN, UNIT, the conditioned GAN.

    Args:
        run: the run folder.
        out: a new or empty folder; of a method that draws two sides OUT/a and OUT/b, where names belong together.
        count: pictures of each side.
        seed: of the noise; a picture depends on it and its number alone.
        suffix: write this format, such as .tif, instead of .png.
        snapshot: the best by validation, the last, or the best where there is one.
        device: auto, cpu, cuda, cuda:1 or mps.
        precision: of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs
            with such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32.
        threads: of the CPU to compute with; unset: all.
    """
    from ganvas.inference.sampling import sample_files

    with using_threads(threads):
        return sample_files(
            run, out, count=count, seed=seed, suffix=suffix, snapshot=snapshot, device=device, precision=precision
        )


def evaluate(
    run: RunFolder,
    /,
    *,
    data: Path | None = None,
    split: Literal["auto", "train", "val", "test"] = "auto",
    out: Path | None = None,
    snapshot: Snapshot = "auto",
    device: str = "auto",
    seed: int = 0,
    direction: Direction = "a_to_b",
    threads: Threads = None,
) -> Evaluation:
    """Measure a trained run on pairs: PSNR, SSIM, MS-SSIM and L1 as a table, as JSON and as a report.

    Args:
        run: the run folder.
        data: a folder of pairs laid out like the training data; unset: the training data's own.
        split: auto is test where there is one, else val.
        out: where to write; unset: evaluation/SPLIT in the run folder.
        snapshot: the best by validation, the last, or the best where there is one.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: of the method's noise, if it has any.
        direction: b_to_a for the way back, of methods that learn both.
        threads: of the CPU to compute with; unset: all.
    """
    from ganvas.evaluation.evaluate import evaluate_run

    with using_threads(threads):
        return evaluate_run(
            run, data=data, split=split, out=out, snapshot=snapshot, device=device, seed=seed, direction=direction
        )


def load(
    run: Path | str, *, snapshot: Snapshot | Path = "auto", device: str = "auto", seed: int = 0,
    precision: PrecisionChoice = "float32", direction: Direction = "a_to_b",
) -> Translator:  # fmt: skip
    """A trained run as a callable from picture to picture; the arguments are those of `Translator.load`."""
    from ganvas.inference.translator import Translator

    return Translator.load(run, snapshot=snapshot, device=device, seed=seed, precision=precision, direction=direction)
