"""Export as a model folder of the Hugging Face Hub: the whole run in `config.json`, `model.safetensors` and a card.

Unlike other formats, it contains the run itself, which ganvas loads again with both directions, noise and frames.
Information about the training machine is omitted: folders, files of the data set, settings of the trainer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.content_gate import write_synthetic
from ganvas.data.config import DataConfig, PairedData
from ganvas.errors import ExportError
from ganvas.filesystem.atomic import write_json, write_text
from ganvas.filesystem.paths import sha256_of
from ganvas.image.files import read_image, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.inference.translator import Translator
from ganvas.interop.export.job import ExportJob, Format, Run
from ganvas.interop.export.model_card import Card, model_card, read_measured
from ganvas.interop.export.verification import reference
from ganvas.runs.published import (
    CONFIG_NAME,
    UNPUBLISHED,
    WEIGHTS_NAME,
    PublishedRun,
    is_published,
    publishable_name,
    read_published,
    run_name,
)
from ganvas.runs.record import SNAPSHOT_FORMAT, RunRecord, find_snapshot, read_run_record, read_snapshot
from ganvas.serialization import save_tensors, to_record

__all__ = ["CARD_NAME", "EXAMPLES_NAME", "HUGGINGFACE", "publishable"]

CARD_NAME = "README.md"
EXAMPLES_NAME = "examples"
"""Folder of the example pictures."""
FILES = (CARD_NAME, CONFIG_NAME, WEIGHTS_NAME)
Examples = list[tuple[str, str]]
"""Paths in the folder of (input, translation)."""


def write_published(job: ExportJob, folder: Path) -> list[Path]:
    """Write a run into an empty folder, and return the paths, the weights last.

    Raises:
        ExportError: the run's settings contain a path, or its training continues and has replaced the snapshot.
        PolicyRefusal: the content gate refused an example or its translation.
        ImageError: an example cannot be read, translated or stored as PNG.
    """
    snapshot = find_snapshot(job.run, job.options.snapshot)
    weights, images_seen = read_snapshot(snapshot)
    if sha256_of(snapshot) != job.metadata.weights_sha256:
        raise ExportError(f"{snapshot} was replaced meanwhile by the training of this run: repeat the command")
    if job.half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    save_tensors(folder / WEIGHTS_NAME, weights, {"format": SNAPSHOT_FORMAT, "images_seen": str(images_seen)})
    record = read_run_record(job.run)  # the record of the job has its sides swapped for direction b_to_a
    published = PublishedRun(
        name=publishable_name(run_name(job.run)),
        snapshot=read_published(job.run).snapshot if is_published(job.run) else snapshot.stem,
        images_seen=images_seen,
        weights_sha256=sha256_of(folder / WEIGHTS_NAME),
        license=job.options.license,
        run=to_record(publishable(record)),
    )
    write_json(folder / CONFIG_NAME, to_record(published))
    examples = _write_examples(job, folder)
    write_text(folder / CARD_NAME, model_card(_card(job, record, published, examples)))
    return [*(folder / name for pair in examples for name in pair), *(folder / name for name in FILES)]


def _card(job: ExportJob, record: RunRecord, published: PublishedRun, examples: Examples) -> Card:
    """Return the content of the card of a run."""
    repository = job.options.repository
    return Card(
        title=repository.rpartition("/")[2] if repository else published.name,
        address=f"hf://{repository or 'USER/NAME'}",
        record=record,
        method=job.translator.method,
        published=published,
        measured=read_measured(
            job.run, snapshot=published.snapshot, images_seen=published.images_seen, direction=job.direction
        ),
        examples=examples,
    )


def open_published(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return the written run as a function, loaded like any run."""
    other = replace(job, translator=Translator.load(files[-1].parent, device="cpu", direction=job.direction))
    return partial(reference, other)


def _needs_nothing() -> None:
    """Do nothing: the format needs no additional package."""


HUGGINGFACE = Format(
    suffix="",
    whole_run=True,
    runtime="ganvas, loaded again",
    options=frozenset({"half", "examples", "repository"}),
    require=_needs_nothing,
    write=write_published,
    open=open_published,
)


def publishable(record: RunRecord) -> RunRecord:
    """Return a run record without information about the training machine.

    Raises:
        ExportError: the settings of the method contain a path, as those of a plugin may.
    """
    if found := next(_paths_in(to_record(record.method), "method"), None):
        raise ExportError(
            f"{found} is a path of this machine, which would be published; change the method so that its settings "
            "contain no path"
        )
    return replace(record, data=_publishable_data(record.data), training=None)


def _publishable_data(data: DataConfig | None) -> DataConfig | None:
    if isinstance(data, PairedData):
        return replace(data, folder=UNPUBLISHED, split_file=None)
    return None if data is None else replace(data, folder=UNPUBLISHED)


def _paths_in(value: Any, where: str) -> Iterator[str]:
    """Yield the dotted keys of strings that may be paths."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths_in(item, f"{where}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _paths_in(item, where)
    elif isinstance(value, str) and ("/" in value or "\\" in value or value.startswith("~")):
        yield where


def _write_examples(job: ExportJob, folder: Path) -> Examples:
    """Translate the user's example pictures; they are numbered, since file names may be private."""
    label = SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=f"{job.metadata.method} ({run_name(job.run)})",
        note="This picture was generated by a trained image-to-image model.",
    )
    pairs = []
    for number, source in enumerate(job.options.examples, 1):
        picture = read_image(source)
        translation = job.translator.translate_picture(picture, name=source.name)
        given, made = (f"{EXAMPLES_NAME}/{number}-{part}.png" for part in ("input", "translation"))
        write_image(folder / given, Picture(picture.color))
        write_synthetic(folder / made, translation.admitted, label)
        pairs.append((given, made))
    return pairs
