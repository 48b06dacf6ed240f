"""Import of models from other projects: generators become a run, a single discriminator a separate folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from ganvas.errors import ConfigError, RunError
from ganvas.filesystem import claimed, require_apart
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import PictureSpec
from ganvas.interop import ImportConfig
from ganvas.interop.reference_checkpoint import ReferenceNetwork, describe, read_reference
from ganvas.interop.reference_methods import AS_RELEASED, ImportedMethod, import_cyclegan, import_reference
from ganvas.interop.shared_models import NotRecorded, SharedModel, import_shared_model, read_shared_model
from ganvas.methods.config import Norm
from ganvas.networks import PatchGAN, PixelGAN
from ganvas.runs.published import CONFIG_NAME, RECORD_NAME
from ganvas.runs.record import (
    SNAPSHOT_FORMAT,
    RunRecord,
    read_snapshot,
    save_snapshot,
    snapshot_path,
    write_run_record,
)
from ganvas.serialization import check_name, from_record, read_json, save_tensors, to_record

DISCRIMINATOR_RECORD_NAME = "discriminator.json"


@dataclass(frozen=True, kw_only=True)
class DiscriminatorRecord:
    """Record of an imported discriminator, from which it is built; it scores pictures in [-1, 1]."""

    network: Literal["patchgan", "pixelgan"]
    input_channels: int
    """Input channels: a pix2pix discriminator takes input and output concatenated, a CycleGAN one outputs only."""
    width: int
    num_layers: int
    """Strided convolutions of a PatchGAN; 0 for a PixelGAN."""
    norm: Norm
    ganvas: str
    """Version of ganvas that wrote the record."""


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        folder: a run folder, or the folder of a discriminator.
        notes: notes on the files for the user, one line each.
    """

    folder: Path
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.notes)


def import_checkpoints(config: ImportConfig) -> Imported:
    """Import a shared model or checkpoints of the reference code as a run folder, or a discriminator as its own folder.

    Args:
        config: the files, the output folder and settings that the files do not record.

    Raises:
        RunError: a file cannot be read, they do not belong together, or the folder contains other files.
        ConfigError: cycle weights for files that are not a CycleGAN's, or weights out of range.
    """
    paths, folder, training = config.checkpoints, config.out, config.cycle_weights
    made = [folder / RECORD_NAME, folder / DISCRIMINATOR_RECORD_NAME, snapshot_path(folder, "last")]
    # 1. Check the output before reading gigabytes, then infer the network of each file.
    check_name(folder)
    require_apart(made, paths)
    if model := _read_single(config):
        imported = import_shared_model(model, paths[0])
        with _held(folder):
            write_imported(imported, folder)
        return Imported(folder, (*imported.notes, f"{folder}: ready for ganvas translate"))
    config.check_alone(("scale", "activation"), "checkpoints of the reference code")
    for path in paths:
        _refuse_snapshot(path)
    networks = [read_reference(path) for path in paths]
    several = sum(network.is_generator for network in networks) > 1
    if training and not several:
        raise ConfigError(f"{', '.join(training)}: only for the files of a CycleGAN, G_A and G_B; omit it")
    # 2. A single discriminator cannot translate, so it becomes a separate kind of folder.
    if len(paths) == 1:
        (network,) = networks
        if not network.is_generator:
            with _held(folder):
                write_discriminator(network, folder)
            note = f"{folder}: a discriminator without its generator; add the generator for a run"
            return Imported(folder, (f"{paths[0].name}: {describe(network)}", note))
    # 3. Generators become a run: two form a CycleGAN, one a pix2pix or a CUT.
    if several:
        imported = import_cyclegan(*paths, dropout=config.dropout, training=replace(AS_RELEASED, **training))
    else:
        imported = import_reference(*paths, dropout=config.dropout)
    with _held(folder):
        write_imported(imported, folder)
    return Imported(folder, (*imported.notes, f"{folder}: ready for ganvas translate"))


def _read_single(config: ImportConfig) -> SharedModel | None:
    """Return the community restoration model in the files; None if there is none.

    Raises:
        RunError: it is one of several files.
    """
    specified = NotRecorded(scale=config.scale, activation=config.activation)
    found = {path: model for path in config.checkpoints if (model := read_shared_model(path, specified)) is not None}
    if found and len(config.checkpoints) > 1:
        path, model = next(iter(found.items()))
        raise RunError(f"{path.name} is a {model.name}, which is imported by itself; pass one file")
    if found:
        config.check_alone(("dropout", "cycle_weight_a", "cycle_weight_b", "identity_weight"), "a restoration model")
    return next(iter(found.values()), None)


def _refuse_snapshot(path: Path) -> None:
    """Raise RunError for the weights of a run of ganvas."""
    try:
        with safe_open(path, framework="pt") as file:
            is_snapshot = (file.metadata() or {}).get("format") == SNAPSHOT_FORMAT
    except (SafetensorError, OSError):  # another format
        return
    if is_snapshot:
        raise RunError(f"{path}: the weights of a run of ganvas, which needs no import; pass its folder as the run")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock the output folder; remove the snapshots if the import fails or is interrupted."""
    snapshots = snapshot_path(folder, "last").parent
    with claimed(folder, beside=[snapshots], tensors=True):
        kept = set(snapshots.glob("*"))
        try:
            yield
        except BaseException:
            for path in set(snapshots.glob("*")) - kept:
                path.unlink()
            with suppress(OSError):  # it holds other files
                snapshots.rmdir()
            raise


def write_imported(imported: ImportedMethod, run: Path) -> None:
    """Write a run folder for 8-bit pictures.

    The record is written last, so that an interrupted import does not look like a run.

    Raises:
        RunError: the folder already contains a run or a discriminator.
    """
    check_unused(run)
    save_snapshot(snapshot_path(run, "last"), imported.method, images_seen=0)
    record = RunRecord(
        method=imported.config,
        input=PictureSpec(channels=imported.input_channels),
        output=PictureSpec(channels=imported.output_channels),
        image_size=imported.image_size,
    )
    write_run_record(run, record)


def write_discriminator(network: ReferenceNetwork, folder: Path) -> None:
    """Write a discriminator's weights and then its record.

    Raises:
        RunError: the folder already contains a run or a discriminator.
    """
    assert network.kind in ("patchgan", "pixelgan")
    check_unused(folder)
    weights = {f"discriminator.{key}": value for key, value in network.weights.items()}
    save_tensors(snapshot_path(folder, "last"), weights, {"format": SNAPSHOT_FORMAT, "images_seen": "0"})
    record = DiscriminatorRecord(
        network=network.kind,
        input_channels=network.input_channels,
        width=network.width,
        num_layers=network.count,
        norm=network.norm,
        ganvas=version("ganvas"),
    )
    write_json(folder / DISCRIMINATOR_RECORD_NAME, to_record(record))


def load_discriminator(folder: Path | str) -> PatchGAN | PixelGAN:
    """Return the discriminator of a folder in eval mode: (N, C, H, W) in [-1, 1] -> raw scores (N, 1, h, w).

    Raises:
        RunError: the folder contains none, or its record and weights do not belong together.
    """
    path = Path(folder) / DISCRIMINATOR_RECORD_NAME
    try:
        record = from_record(DiscriminatorRecord, read_json(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as the record of an imported discriminator: {error}") from error
    weights = read_snapshot(snapshot_path(Path(folder), "last"))[0]
    network = ReferenceNetwork(
        kind=record.network,
        input_channels=record.input_channels,
        output_channels=1,
        width=record.width,
        count=record.num_layers,
        norm=record.norm,
        dropout=0.0,
        weights={key.removeprefix("discriminator."): value for key, value in weights.items()},
    )
    try:
        discriminator = network.build()
    except RuntimeError as error:
        raise RunError(f"{folder}: the record and the weights do not belong together: {error}") from error
    assert isinstance(discriminator, PatchGAN | PixelGAN)
    return discriminator.eval()


def check_unused(folder: Path) -> None:
    """Raise RunError if an import would overwrite files."""
    for name in (RECORD_NAME, CONFIG_NAME, DISCRIMINATOR_RECORD_NAME):
        if (folder / name).exists():
            raise RunError(f"{folder} already contains a {name}; use another folder")
