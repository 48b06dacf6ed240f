"""Commands that train runs and use them: train, resume, import, translate, sample, evaluate, load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganvas.api.types import Checkpoints, Out, RunFolder, Snapshot, Source, Threads
from ganvas.bulk.ray_backend import Engine
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads
from ganvas.methods.config import Direction

if TYPE_CHECKING:
    from ganvas.evaluation.report import Evaluation
    from ganvas.inference.folder import TranslationReport
    from ganvas.inference.sampling import SamplingReport
    from ganvas.inference.translator import Translator
    from ganvas.training.config import RunConfig
    from ganvas.training.monitoring import TrainingResult


def train(config: RunConfig, out: Path, /) -> TrainingResult:
    """Train a run into the folder `out`.

    Args:
        config: method, data and training; see `ganvas.recipes` for complete ones.
        out: the run folder to create.

    Raises:
        GanvasError: see `ganvas.training.loop.train`.
    """
    from ganvas.training.loop import train as train_run

    with using_threads(config.training.threads):
        return train_run(config, out)


def resume(
    run: RunFolder,
    /,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    learning_rate: float | None = None,
    precision: PrecisionChoice | None = None,
    device: str | None = None,
    threads: Threads = None,
    data: Path | None = None,
) -> TrainingResult:
    """Resume a run that was stopped; it ends as if it had not been stopped, unless a setting is changed.

    Args:
        run: the run folder.
        epochs: new total number of epochs.
        minutes: new total training time.
        learning_rate: new learning rate; use a lower one where losses became NaN.
        precision: new precision of the forward passes; auto is bfloat16 where that is fast.
        device: auto, cpu, cuda, cuda:1 or mps.
        threads: number of CPU threads; unset: as before, or as many as are fastest.
        data: new folder of the training data, if it was moved.
    """
    from ganvas.training.loop import train as train_run
    from ganvas.training.state import read_config

    config = read_config(run)
    before = config.training
    training = replace(
        before,
        epochs=before.epochs if epochs is None else epochs,
        minutes=before.minutes if minutes is None else minutes,
        learning_rate=before.learning_rate if learning_rate is None else learning_rate,
        precision=precision or before.precision,
        device=device or before.device,
        threads=before.threads if threads is None else threads,
    )
    moved = config.data if data is None else replace(config.data, folder=data)
    with using_threads(training.threads):
        return train_run(replace(config, training=training, data=moved), run, resume=True)


def import_reference(
    checkpoints: Checkpoints, /, *, out: Path, dropout: float | None = None,
    cycle_weight_a: float | None = None, cycle_weight_b: float | None = None, identity_weight: float | None = None,
) -> str:  # fmt: skip
    """Import checkpoints of the reference PyTorch pix2pix, CycleGAN or CUT code into a run folder.

    Args:
        checkpoints: in any order, a pix2pix's latest_net_G.pth and, if wanted, D; or a CycleGAN's latest_net_G_A.pth
            and G_B and, if wanted, D_A and D_B; or one generator or one discriminator alone.
        out: the folder to make: a run, or of a discriminator alone its weights and discriminator.json.
        dropout: of the generator, where its file cannot tell.
        cycle_weight_a: the lambda_A that a CycleGAN was trained with, which no file tells; unset: 10.
        cycle_weight_b: its lambda_B; unset: 10.
        identity_weight: its lambda_identity; unset: 0.5.
    """
    from ganvas.interop.import_checkpoints import import_checkpoints

    return "\n".join(
        import_checkpoints(
            checkpoints,
            out,
            dropout=dropout,
            cycle_weight_a=cycle_weight_a,
            cycle_weight_b=cycle_weight_b,
            identity_weight=identity_weight,
        )
    )


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
    """Apply a trained run to a picture or a folder; names, sizes and formats stay, and the results are labeled.

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
        seed: seed of the method's noise.
        precision: of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs
            with such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32.
        direction: b_to_a for the way back, of methods that learn both, such as CycleGAN.
        engine: this process (local), or ray for the workers of a Ray cluster, for very large folders; needs Ray Data.
        workers: of ray; unset: one a core, or one a GPU.
        threads: number of CPU threads; unset: all.
    """
    from ganvas.content_gate import loading_scorer

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
    """Sample pictures from noise with a trained run that supports it: VAE, VAE/GAN, CoGAN, UNIT, conditioned GAN.

    Args:
        run: the run folder.
        out: a new or empty folder; of a method that draws two sides OUT/a and OUT/b, where names belong together.
        count: pictures of each side.
        seed: seed of the noise; a picture depends only on it and its number.
        suffix: write this format, such as .tif, instead of .png.
        snapshot: the best by validation, the last, or the best where there is one.
        device: auto, cpu, cuda, cuda:1 or mps.
        precision: of the network. bfloat16 differs by about a gray level, takes half the time on processors and GPUs
            with such instructions, and is an error elsewhere; auto is bfloat16 where that is fast, else float32.
        threads: number of CPU threads; unset: all.
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
        seed: seed of the method's noise.
        direction: b_to_a for the way back, of methods that learn both.
        threads: number of CPU threads; unset: all.
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
    """Load a trained run as a callable from picture to picture; the arguments are those of `Translator.load`."""
    from ganvas.inference.translator import Translator

    return Translator.load(run, snapshot=snapshot, device=device, seed=seed, precision=precision, direction=direction)
