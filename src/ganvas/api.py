"""The verbs of ganvas: what the command line calls, and what a program calls.

A signature here is a command: positional-only arguments are its words, keyword arguments its flags.
Modules that need torch are imported when a verb is called, so that asking for help is quick.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ganvas.engines import Engine
from ganvas.methods.config import Direction, Precision
from ganvas.progress import telling

if TYPE_CHECKING:
    from ganvas.evaluation.evaluate import Evaluation
    from ganvas.inference.folder import TranslationReport
    from ganvas.inference.translator import Translator
    from ganvas.points.study import Study
    from ganvas.redaction.redact_files import Redacted
    from ganvas.training.config import RunConfig
    from ganvas.training.result import TrainingResult

RunFolder = Annotated[Path, tyro.conf.arg(metavar="RUN")]
Source = Annotated[Path, tyro.conf.arg(metavar="SOURCE")]
Out = Annotated[Path, tyro.conf.arg(metavar="OUT")]
Photos = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PHOTO...")]
Checkpoints = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CHECKPOINT...")]
ClassName = Annotated[str | None, tyro.conf.arg(name="class")]
Snapshot = Literal["auto", "best", "last"]


def demo(*, out: Path = Path("demo"), minutes: float = 4.0) -> str:
    """The main job on photographs inside two packages: find, mosaic, learn to restore, judge.

    Needs the extra `demo` (scikit-image and scikit-learn, for their photographs). Writes report.html and metrics.json.

    Args:
        out: the folder to write; an earlier demo in it is replaced.
        minutes: of training, over both models.
    """
    from ganvas.demonstration.run import run_demo

    return str(run_demo(out, minutes=minutes))


def locate(
    photos: Photos,
    /,
    *,
    out: Path,
    classifier: str = "imagenet",
    class_name: ClassName = None,
    threshold: float = 0.2,
) -> str:
    """Find what a classifier reacted to in photographs: heat maps over them, and boxes as JSON.

    Args:
        photos: pictures, or folders of them.
        out: the folder to write.
        classifier: nsfw, imagenet or the path of an .onnx file.
        class_name: one of its classes; unset: the most likely one of each photograph.
        threshold: share of the map's maximum above which a pixel counts (Zhou et al. 2016, Sec. 3: 0.2).
    """
    from ganvas.localization.locate_files import locate_files

    with telling() as tell:
        records = locate_files(
            photos, out, classifier=classifier, class_name=class_name, threshold=threshold,
            progress=lambda done, total: tell("locate", done, total),
        )  # fmt: skip
    return "\n".join(f"{record['photo']}: {record['class']} {record['score']:.3f}" for record in records)


def prepare(
    source: Source,
    out: Out,
    /,
    *,
    degrade: Literal["mosaic", "downscale", "blur", "grey", "edges"] = "mosaic",
    strength: tuple[float, float] = (8.0, 8.0),
    where: Literal["everywhere", "classifier", "boxes"] = "everywhere",
    boxes: Path | None = None,
    classifier: str = "imagenet",
    class_name: ClassName = None,
    least_score: float = 0.2,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> str:
    """Make training pairs from photographs: OUT/train/a and b, val, test, and a manifest.

    Near-duplicates never straddle two splits. Stopped, the same command goes on.

    Args:
        source: a folder of pictures, folders in it included.
        out: the folder to write.
        degrade: what makes the input from the picture.
        strength: smallest and largest block side or scale in pixels, or blur sigma.
        where: the whole picture, what a classifier looks at, or the boxes of a file.
        boxes: JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV name,left,top,right,bottom.
        classifier: nsfw, imagenet or the path of an .onnx file.
        class_name: whose region; unset: the most likely class of each picture.
        least_score: for a named class, the smallest probability that counts as seen.
        val_fraction: share of the pictures to choose snapshots by.
        test_fraction: share of the pictures that training never sees.
        seed: of the splits and the strengths.
    """
    from ganvas.data.prepare import prepare_pairs
    from ganvas.data.prepare_config import PrepareConfig

    config = PrepareConfig(
        degrade=degrade, strength=strength, where=where, boxes=boxes, classifier=classifier, class_name=class_name,
        least_score=least_score, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed,
    )  # fmt: skip
    with telling() as tell:
        prepared = prepare_pairs(source, out, config, progress=tell)
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    return f"{prepared.manifest}: {counts}; {len(prepared.refused)} refused, {len(prepared.left_out)} left out"


def train(config: RunConfig, out: Path, /) -> TrainingResult:
    """Train a run into the folder `out`.

    Args:
        config: method, data and training; see `ganvas.recipes` for complete ones.
        out: the run folder to make.

    Raises:
        GanvasError: see `ganvas.training.trainer.train`.
    """
    from ganvas.training.trainer import train as train_run

    return train_run(config, out)


def resume(
    run: RunFolder,
    /,
    *,
    epochs: float | None = None,
    minutes: float | None = None,
    learning_rate: float | None = None,
    precision: Precision | None = None,
    device: str | None = None,
    data: Path | None = None,
) -> TrainingResult:
    """Go on with a run that was stopped; it ends as if it had not been, unless a setting is changed.

    Args:
        run: its folder, which says what it trains.
        epochs: train until so many, instead of as first said.
        minutes: train until so many in all, instead of as first said.
        learning_rate: from here on; a lower one where losses became NaN.
        precision: of the forward passes from here on.
        device: auto, cpu, cuda, cuda:1 or mps.
        data: where the training data lies now, if it was moved.
    """
    from ganvas.training.run_folder import read_config
    from ganvas.training.trainer import train as train_run

    config = read_config(run)
    before = config.training
    training = replace(
        before,
        epochs=before.epochs if epochs is None else epochs,
        minutes=before.minutes if minutes is None else minutes,
        learning_rate=before.learning_rate if learning_rate is None else learning_rate,
        precision=precision or before.precision,
        device=device or before.device,
    )
    moved = config.data if data is None else replace(config.data, folder=data)
    return train_run(replace(config, training=training, data=moved), run, resume=True)


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
    precision: Precision = "float32",
    direction: Direction = "a_to_b",
    engine: Engine = "local",
    workers: int | None = None,
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
        precision: of the network; bfloat16 is quicker and differs by about a grey level.
        direction: b_to_a for the way back, of methods that learn both, such as CycleGAN.
        engine: this process, or ray for the workers of a cluster (docs/scale.md).
        workers: of ray; unset: one a core, or one a GPU.
    """
    from ganvas.policy import loading_scorer

    with loading_scorer():  # while torch is imported and the run is loaded
        from ganvas.inference.folder import translate_files

        return translate_files(
            run, source, out, mask=mask, tile=tile, overlap=overlap, suffix=suffix, recursive=recursive, seed=seed,
            snapshot=snapshot, device=device, precision=precision, direction=direction, engine=engine, workers=workers,
        )  # fmt: skip


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
    """
    from ganvas.evaluation.evaluate import evaluate_run

    return evaluate_run(
        run, data=data, split=split, out=out, snapshot=snapshot, device=device, seed=seed, direction=direction
    )


def redact(
    source: Source,
    out: Out,
    /,
    *,
    classifier: str | None = None,
    class_name: ClassName = None,
    boxes: Path | None = None,
    mask: Path | None = None,
    style: Literal["solid", "mosaic", "blur"] = "solid",
    blocks: int | None = None,
    block_size: int | None = None,
    sigma: float | None = None,
    pass_score: float | None = None,
    engine: Engine = "local",
    workers: int | None = None,
) -> Redacted:
    """Cover regions of pictures, look again, and widen until nothing shows; an audit line a picture.

    Args:
        source: a picture, or a folder, folders in it included.
        out: a folder; for one picture also the file to write.
        classifier: nsfw, imagenet or the path of an .onnx file: finds regions and judges the result.
        class_name: what to cover; nsfw needs none.
        boxes: JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV name,left,top,right,bottom.
        mask: a mask for all, or a folder of masks by stem; all that is not black is covered.
        style: solid hides; mosaic and blur are cosmetic (docs/redaction.md).
        blocks: of a mosaic, across the region's longer side.
        block_size: of a mosaic, in pixels, instead of blocks.
        sigma: of a blur, in pixels.
        pass_score: the largest score that counts as gone; unset: 0.2.
        engine: this process, or ray for the workers of a cluster (docs/scale.md).
        workers: of ray; unset: one a core.
    """
    from ganvas.image.cover import Cover
    from ganvas.redaction.redact_files import redact_files

    how = Cover(style=style, blocks=blocks, block_size=block_size, sigma=sigma)
    with telling() as tell:
        return redact_files(
            source, out, classifier=classifier, class_name=class_name, boxes=boxes, mask=mask, how=how,
            pass_score=pass_score, engine=engine, workers=workers, progress=tell,
        )  # fmt: skip


def import_reference(checkpoints: Checkpoints, /, *, out: Path, dropout: float | None = None) -> str:
    """Read checkpoints of the reference PyTorch pix2pix / CycleGAN code into a run folder.

    Args:
        checkpoints: in any order, a pix2pix's latest_net_G.pth and, if wanted, D; or a CycleGAN's latest_net_G_A.pth
            and G_B and, if wanted, D_A and D_B; or one generator or one discriminator alone.
        out: the folder to make: a run, or of a discriminator alone its weights and discriminator.json.
        dropout: of the generator, where its file cannot tell.
    """
    from ganvas.inference.imported import import_checkpoints

    return "\n".join(import_checkpoints(checkpoints, out, dropout=dropout))


def density(
    question: Annotated[Literal["sample", "likelihood", "gan", "collapse", "dual"], tyro.conf.arg(metavar="QUESTION")],
    /,
    *,
    out: Path,
    seed: int = 0,
    steps: int | None = None,
) -> Study:
    """The ideas behind the methods on numbers and points, where every answer is known: a picture and figures.

    Needs the extra `figures` (matplotlib). docs/density.md tells what each question shows.

    Args:
        question: sample, likelihood, gan, collapse or dual.
        out: the folder to write.
        seed: of everything drawn.
        steps: of training; unset: as many as the question needs.
    """
    from ganvas.points.study import study

    with telling() as tell:
        return study(question, out, seed=seed, steps=steps, tell=tell)


def load(
    run: Path | str, *, snapshot: Snapshot | Path = "auto", device: str = "auto", seed: int = 0,
    precision: Precision = "float32", direction: Direction = "a_to_b",
) -> Translator:  # fmt: skip
    """A trained run as a callable from picture to picture; the arguments are those of `Translator.load`."""
    from ganvas.inference.translator import Translator

    return Translator.load(run, snapshot=snapshot, device=device, seed=seed, precision=precision, direction=direction)
