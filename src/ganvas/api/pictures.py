"""Commands on photographs: locate, prepare, redact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganvas.api.types import ClassName, Out, Photos, Source, Threads
from ganvas.bulk.ray_backend import Engine
from ganvas.hardware.threads import using_threads
from ganvas.progress import progress_bars
from ganvas.terminal import one_line

if TYPE_CHECKING:
    from ganvas.redaction.redact_files import Redacted


def locate(
    photos: Photos = (),
    /,
    *,
    out: Path | None = None,
    classifier: str = "imagenet",
    class_name: ClassName = None,
    threshold: float = 0.2,
    list_classes: bool = False,
    threads: Threads = None,
) -> str:
    """Find what a classifier responds to in photographs; write heatmap overlays, and boxes as JSON.

    Args:
        photos: pictures, or folders of them.
        out: the folder to write; needed unless classes are listed.
        classifier: nsfw, imagenet or the path of an .onnx file.
        class_name: one of its classes; unset: the most likely one of each photograph.
        threshold: share of the map's maximum above which a pixel counts (Zhou et al. 2016, Sec. 3: 0.2).
        list_classes: print the classes of the classifier, one per line, and read no picture.
        threads: number of CPU threads; unset: all.
    """
    if list_classes:
        from ganvas.localization.load import load_classifier

        return "\n".join(load_classifier(classifier).class_names)
    from ganvas.errors import ConfigError
    from ganvas.localization.locate_files import locate_files

    if out is None:
        raise ConfigError("say where to write: --out FOLDER")
    with using_threads(threads), progress_bars() as tell:
        records = locate_files(
            photos, out, classifier=classifier, class_name=class_name, threshold=threshold,
            progress=lambda done, total: tell("locate", done, total),
        )  # fmt: skip
    return "\n".join(f"{one_line(str(record['photo']))}: {record['class']} {record['score']:.3f}" for record in records)


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
    grouping: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    threads: Threads = None,
) -> str:
    """Make training pairs from photographs: OUT/train/a and b, val, test, and a manifest.

    Near-duplicates never straddle two splits. The same command resumes after an interruption.

    Args:
        source: a folder of pictures, folders in it included.
        out: the folder to write.
        degrade: what makes the input from the picture.
        strength: smallest and largest block side or scale in pixels, or blur sigma.
        where: the whole picture, the region of a classifier's class, or the boxes of a file.
        boxes: JSON {"name.jpg": [[left, top, right, bottom], ...]} or CSV name,left,top,right,bottom.
        classifier: nsfw, imagenet or the path of an .onnx file.
        class_name: whose region; unset: the most likely class of each picture.
        least_score: for a named class, the smallest probability that counts as seen.
        grouping: keep near-duplicates in one split; off for different pictures that look alike.
        val_fraction: share of the pictures to choose snapshots by.
        test_fraction: share of the pictures that training never sees.
        seed: seed of the splits and the strengths.
        threads: number of CPU threads; unset: all.
    """
    from ganvas.data.config import PrepareConfig
    from ganvas.data.prepare import prepare_pairs

    config = PrepareConfig(
        degrade=degrade, strength=strength, where=where, boxes=boxes, classifier=classifier, class_name=class_name,
        least_score=least_score, grouping=grouping, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed,
    )  # fmt: skip
    with using_threads(threads), progress_bars() as tell:
        prepared = prepare_pairs(source, out, config, progress=tell)
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    return f"{prepared.manifest}: {counts}; {len(prepared.refused)} refused, {len(prepared.left_out)} left out"


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
    coverage: float | None = None,
    log: Path | None = None,
    engine: Engine = "local",
    workers: int | None = None,
    threads: Threads = None,
) -> Redacted:
    """Cover regions of pictures, look again, and widen until the classifier no longer names the class.

    That is all it tests: look at the results before they are released. A log holds a line a picture.

    Args:
        source: a picture, or a folder, folders in it included.
        out: a folder; for one picture also the file to write.
        classifier: nsfw, imagenet or the path of an .onnx file: finds regions and judges the result.
        class_name: what to cover; nsfw needs none.
        boxes: in pixels: JSON {"name.jpg": [[left, top, right, bottom], ...]}, [] for none, or CSV lines
            name,left,top,right,bottom, the name alone for none.
        mask: a mask for all, or a folder of masks by stem; all that is not black is covered.
        style: solid hides; mosaic and blur are cosmetic, and classifiers trained on covered pictures see through them.
        blocks: of a mosaic, across the region's longer side.
        block_size: of a mosaic, in pixels, instead of blocks.
        sigma: of a blur, in pixels.
        pass_score: the largest score that counts as gone; unset: 0.2.
        coverage: up to 1, how much of what speaks for the class the first region takes in; unset: 0.9. More covers more
            of the object, and more beside it.
        log: the folder for the redaction log; unset: OUT, where it holds no hash of the originals.
        engine: this process (local), or ray for the workers of a Ray cluster, for very large folders; needs Ray Data.
        workers: of ray; unset: one a core.
        threads: number of CPU threads; unset: all.
    """
    from ganvas.image.cover import Cover
    from ganvas.redaction.redact_files import redact_files

    how = Cover(style=style, blocks=blocks, block_size=block_size, sigma=sigma)
    with using_threads(threads), progress_bars() as tell:
        return redact_files(
            source, out, classifier=classifier, class_name=class_name, boxes=boxes, mask=mask, how=how,
            pass_score=pass_score, coverage=coverage, log=log, engine=engine, workers=workers, progress=tell,
        )  # fmt: skip
