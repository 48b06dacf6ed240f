"""Run record `run.json` and snapshots of the generators, from which inference loads a run.

The record contains everything needed to rebuild the networks of a run and to prepare their input. Snapshots are
safetensors files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ganvas.data.config import DataConfig
from ganvas.errors import ConfigError, RunError
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import PictureSpec
from ganvas.image.ranges import describe_transfer
from ganvas.methods.base import Method, build, methods
from ganvas.runs import SnapshotName
from ganvas.runs.published import (
    CONFIG_NAME,
    RECORD_NAME,
    WEIGHTS_NAME,
    check_weights,
    is_published,
    read_published,
    record_path,
)
from ganvas.serialization import check_name, from_record, read_json, save_tensors, to_record

RECORD_VERSION = 1
RENAMED_SETTINGS = {"initialisation": "initialization"}
RENAMED_VALUES = {"degrade grey": "gray"}
"""Earlier spellings in records -> the current ones."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Description of a run: method, data and picture types, so that network options need not be repeated."""

    method: Any
    """Config of one of `ganvas.methods.base.methods()`, identified by the class name in the record."""
    input: PictureSpec
    """Channels, data type and value range of the input."""
    output: PictureSpec
    """Channels, data type and value range of the output."""
    image_size: tuple[int, int]
    """(height, width) of a training crop, which may determine the depth of networks."""
    data: DataConfig | None = None
    """Training data, for evaluation on their splits. """
    training: dict[str, Any] | None = None
    """Settings of the trainer, for resuming; inference does not use them."""
    created: str = field(default_factory=_now)
    """Creation time, UTC in ISO 8601."""
    ganvas: str = field(default_factory=lambda: version("ganvas"))
    """Version of ganvas that wrote the record."""
    version: int = RECORD_VERSION
    """Version of the record format."""


def write_run_record(run: Path, record: RunRecord) -> None:
    """Write `run.json` atomically, and create the folder if it is missing."""
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / RECORD_NAME, to_record(record))


def read_run_record(run: Path) -> RunRecord:
    """Read `run.json`, or the record in the `config.json` of a published run, strictly.

    Raises:
        RunError: the folder is not a run, the file is not JSON or of another version, or a key is unknown, missing or
            of the wrong type.
    """
    path = record_path(run)
    content = read_published(run).run if is_published(run) else _read_json(run)
    found = content.get("version") if isinstance(content, dict) else None
    if found != RECORD_VERSION:
        raise RunError(f"{path} has record version {found}; this version of ganvas reads {RECORD_VERSION}")
    try:
        record = from_record(RunRecord, _current(content))
        return replace(record, method=_read_method(record.method))
    except RunError as error:
        raise RunError(f"{path}: {error}") from error


def _current(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of `run.json` with earlier names and values replaced by the current ones."""
    content = dict(content)
    for part in ("method", "data"):
        if isinstance(content.get(part), dict):
            renamed = {RENAMED_SETTINGS.get(name, name): value for name, value in content[part].items()}
            content[part] = {name: RENAMED_VALUES.get(f"{name} {value}", value) for name, value in renamed.items()}
    return content


def _read_json(run: Path) -> Any:
    if run.is_file():
        remedy = FILE_REMEDIES.get(run.suffix.lower(), "pass the folder that `ganvas train` wrote")
        raise RunError(f"{run} is a file, not a run folder; {remedy}")
    try:
        return read_json(run / RECORD_NAME)
    except FileNotFoundError as error:
        problem = f"it has no {RECORD_NAME}" if run.is_dir() else "there is no such folder"
        raise RunError(f"{run} is not a run folder: {problem}; pass the folder that `ganvas train` wrote") from error
    except OSError as error:
        raise RunError(f"{run} is not a run folder: {RECORD_NAME} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{run / RECORD_NAME} is not JSON: {error}") from error


def _read_method(record: object) -> object:
    """Return the config of a built-in method, or of one that a plugin registers."""
    name = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in methods():
        raise RunError(f"method: no installed method has settings {name}; known: {', '.join(sorted(methods()))}")
    return from_record(methods()[name].config_type, record)


def check_picture_types(run: Path, input_spec: PictureSpec, output_spec: PictureSpec) -> None:
    """Check that pictures have the types on which the run in this folder was trained.

    Raises:
        ConfigError: names the type that differs.
    """
    record = read_run_record(run)
    for side, was, now in (("input", record.input, input_spec), ("output", record.output, output_spec)):
        if was != now:
            raise ConfigError(
                f"{run} was trained with an {side} of {_describe(was)}, the data now has {_describe(now)}: resume it "
                "on pictures of the same type, or train in another folder"
            )


def _describe(spec: PictureSpec) -> str:
    low, high = spec.value_range
    transfer = f", {describe_transfer(spec.transfer)}" if spec.transfer else ""
    return f"{spec.channels} channel{'s' * (spec.channels > 1)}, {spec.dtype}, {low:g} to {high:g}{transfer}"


SNAPSHOT_FORMAT = "ganvas snapshot 1"
FILE_REMEDIES = {
    ".onnx": "an ONNX network can only be used to translate and evaluate; pass the folder that `ganvas train` wrote",
    ".pt2": "this export runs in PyTorch without ganvas; export the run as ONNX, or pass its folder",
    ".xml": "this export runs in OpenVINO without ganvas; export the run as ONNX, or pass its folder",
    ".pth": "convert a checkpoint to a run with `ganvas import`",
    ".safetensors": "convert a checkpoint to a run with `ganvas import`",
}
"""Suffix of a file passed instead of a run -> remedy."""
INITIALIZERS = {
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
}
"""Random initializers that layers use for their initial weights."""
UNREADABLE = (OSError, SafetensorError, RuntimeError, TypeError, KeyError, AttributeError)
"""Exceptions raised by damaged safetensors files; the last three by data types that torch lacks."""


def snapshot_path(run: Path, name: SnapshotName | str) -> Path:
    """Return the path of the snapshot `name` of a run; it need not exist."""
    return run / "snapshots" / f"{name}.safetensors"


def find_snapshot(run: Path, snapshot: SnapshotName | Path = "auto") -> Path:
    """Return the file of a snapshot: for `auto` the best if it exists, else the last; or the path of any file.

    Raises:
        RunError: it does not exist; names the existing ones.
    """
    if is_published(run) and not isinstance(snapshot, Path):
        return _published_snapshot(run, snapshot)
    names = ("best", "last") if snapshot == "auto" else (snapshot,)
    candidates = [name if isinstance(name, Path) else snapshot_path(run, name) for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not isinstance(snapshot, Path):
        _read_json(run)  # which says what is wrong with a folder that is no run
    there = sorted(path.stem for path in (run / "snapshots").glob("*.safetensors"))
    wanted = "yet" if snapshot == "auto" else f"'{snapshot}'"
    raise RunError(f"{run}: no snapshot {wanted}; there is {', '.join(there) or 'none: train it first'}")


def _published_snapshot(run: Path, snapshot: SnapshotName) -> Path:
    """Return the weights of a published run; raise RunError for another snapshot, or if they are missing."""
    there = read_published(run).snapshot
    if snapshot not in ("auto", there):
        raise RunError(f"{run}: no snapshot '{snapshot}'; it was published only with '{there}'")
    if not (run / WEIGHTS_NAME).is_file():
        raise RunError(f"{run} lacks {WEIGHTS_NAME}: export or download it again")
    return run / WEIGHTS_NAME


def run_files(run: Path) -> list[Path]:
    """Return the files of a run that inference reads, so that no output overwrites them."""
    files = [RECORD_NAME, CONFIG_NAME, WEIGHTS_NAME]
    return [*(run / name for name in files), *sorted((run / "snapshots").glob("*.safetensors"))]


def save_snapshot(path: Path, method: Method, *, images_seen: int, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a snapshot, which contains only the generators, atomically.

    Args:
        path: the file, usually `snapshot_path(run, "last")`; missing folders are created.
        method: method whose generators are saved.
        images_seen: training images so far.
        weights: weights to save instead of the method's own, such as averages, with the names of `generator_weights`.
    """
    tensors = generator_weights(method)
    if unknown := sorted(set(weights or {}) - set(tensors)):
        raise RunError(f"{path.name}: {unknown[0]} is not a weight of the generators")
    tensors |= weights or {}
    save_tensors(path, tensors, {"format": SNAPSHOT_FORMAT, "images_seen": str(images_seen)})


def generator_weights(method: Method) -> dict[str, Tensor]:
    """Return `<network>.<key>` -> tensor of all networks that inference uses."""
    networks = {name: getattr(method, name) for name in method.generators}
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}


def read_snapshot(path: Path) -> tuple[dict[str, Tensor], int]:
    """Return the weights of a snapshot by name, on the CPU, and the number of images seen at that time.

    Raises:
        RunError: the file is not a snapshot or is damaged.
    """
    check_name(path)
    if path.name == WEIGHTS_NAME and is_published(path.parent):
        check_weights(path.parent)
    with _open_snapshot(path) as file:
        names: list[str] = file.keys()  # the file itself cannot be iterated
        return {name: file.get_tensor(name) for name in names}, _images_seen(file, path)


def snapshot_images(path: Path) -> int:
    """Return the number of training images up to a snapshot, without reading its weights.

    Raises:
        RunError: the file is not a snapshot or is damaged.
    """
    with _open_snapshot(path) as file:
        return _images_seen(file, path)


@contextmanager
def _open_snapshot(path: Path) -> Iterator[Any]:
    """Open the safetensors file of a snapshot; errors inside the block become a RunError."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != SNAPSHOT_FORMAT:
                raise RunError(f"{path} is not a snapshot of ganvas ('{SNAPSHOT_FORMAT}')")
            yield file
    except UNREADABLE as error:
        raise RunError(f"{path} cannot be read as a snapshot: {error}") from error


def _images_seen(file: Any, path: Path) -> int:
    """Return the number of images seen from the metadata of an open snapshot."""
    text = file.metadata().get("images_seen", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RunError(f"{path}: its metadata have no number of images seen, or {text[:20]!r}; the file is damaged")
    return int(text)


def load_generators(run: Path, snapshot: SnapshotName | Path = "auto") -> Method:
    """Return the run's method on the CPU in eval mode with its generators loaded; other networks are uninitialized.

    Random initialization, which would take longer than loading, is skipped; random generators do not change.

    Raises:
        RunError: the record or the snapshot is missing, or the two do not belong together.
    """
    record, path = read_run_record(run), find_snapshot(run, snapshot)
    with torch.random.fork_rng(devices=[]), _SkipInitialization():
        method = build(
            record.method,
            input_channels=record.input.channels,
            output_channels=record.output.channels,
            image_size=record.image_size,
        )
    load_weights(method, read_snapshot(path)[0], source=path)
    return method.eval()


class _SkipInitialization(TorchFunctionMode):
    """Mode in which random initializers leave their tensors unchanged."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the first argument, the tensor to fill, instead of calling an initializer."""
        named = kwargs or {}
        return (*args, *named.values())[0] if func.__name__ in INITIALIZERS else func(*args, **named)


def check_like(name: str, value: Tensor, like: Tensor, source: Path) -> None:
    """Raise RunError if a tensor of a file differs in shape or kind of data type from the one that it replaces."""
    if value.shape != like.shape:
        raise RunError(f"{source}: weight {name} has shape {tuple(value.shape)}, the run needs {tuple(like.shape)}")
    if (value.is_floating_point(), value.is_complex()) != (like.is_floating_point(), like.is_complex()):
        raise RunError(f"{source}: weight {name} holds {value.dtype}, the run needs {like.dtype}")


def load_weights(method: Method, weights: Mapping[str, Tensor], *, source: Path) -> None:
    """Load named weights into the generators without copying them.

    Raises:
        RunError: a weight is missing, unknown, or of another shape; names the first.
    """
    targets = generator_weights(method)
    if odd := sorted(set(targets) ^ set(weights)):
        where = "missing from" if odd[0] in targets else "unknown in"
        raise RunError(
            f"{source}: weight {odd[0]} is {where} the snapshot ({len(odd)} such): it is of a run with another "
            "generator; use the settings of that run"
        )
    for name, target in targets.items():
        check_like(name, weights[name], target, source)
    for name in method.generators:
        own = {
            key: weights[f"{name}.{key}"].to(value.dtype) for key, value in getattr(method, name).state_dict().items()
        }
        getattr(method, name).load_state_dict(own, assign=True)
