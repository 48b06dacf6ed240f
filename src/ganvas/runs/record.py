"""Run record `run.json`: everything needed to rebuild the networks of a run and to prepare their input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.data.config import DataConfig
from ganvas.errors import ConfigError, RunError
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import PictureSpec
from ganvas.methods.registry import methods
from ganvas.serialization import from_record, read_json, to_record

RECORD_VERSION = 1
RECORD_NAME = "run.json"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Description of a run: method, data and picture types. Its network options never have to be repeated."""

    method: Any
    """Config of one of `ganvas.methods.registry.methods()`, identified by the class name in the record."""
    input: PictureSpec
    """Channels, data type and value range of the input."""
    output: PictureSpec
    """Channels, data type and value range of the output."""
    image_size: tuple[int, int]
    """(height, width) of a training crop; the networks' depth may follow from it."""
    data: DataConfig | None = None
    """The training data, for evaluation on its own splits."""
    training: dict[str, Any] | None = None
    """The trainer's settings, for resuming; inference does not use them."""
    created: str = field(default_factory=_now)
    """UTC, ISO 8601."""
    ganvas: str = field(default_factory=lambda: version("ganvas"))
    """The version of ganvas that wrote the record."""
    version: int = RECORD_VERSION
    """Version of the record format."""


def write_run_record(run: Path, record: RunRecord) -> None:
    """Write `run.json` atomically, and create the folder if it is missing."""
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / RECORD_NAME, to_record(record))


def read_run_record(run: Path) -> RunRecord:
    """Read `run.json` strictly.

    Raises:
        RunError: not a run folder, not JSON, another version, or a key that is unknown, missing or of the wrong type.
    """
    path = run / RECORD_NAME
    try:
        content = read_json(path)
    except OSError as error:
        raise RunError(f"{run} is not a run folder: {RECORD_NAME} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    found = content.get("version") if isinstance(content, dict) else None
    if found != RECORD_VERSION:
        raise RunError(f"{path} has record version {found}; this ganvas reads {RECORD_VERSION}")
    try:
        record = from_record(RunRecord, content)
        return replace(record, method=_read_method(record.method))
    except RunError as error:
        raise RunError(f"{path}: {error}") from error


def _read_method(record: object) -> object:
    """Return the config of a built-in method, or of one that a plugin registers."""
    name = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in methods():
        raise RunError(f"method: no installed method has settings {name}; known: {', '.join(sorted(methods()))}")
    return from_record(methods()[name].config_type, record)


def check_picture_types(run: Path, input_spec: PictureSpec, output_spec: PictureSpec) -> None:
    """Check that pictures are of the types that the run in this folder was trained on.

    Raises:
        ConfigError: names the type that differs.
    """
    record = read_run_record(run)
    for side, was, now in (("input", record.input, input_spec), ("output", record.output, output_spec)):
        if was != now:
            raise ConfigError(
                f"{run} was trained with an {side} of {_describe(was)}, the data now has {_describe(now)}: resume it "
                "on pictures of the same type, or train anew in another folder"
            )


def _describe(spec: PictureSpec) -> str:
    low, high = spec.value_range
    return f"{spec.channels} channel{'s' * (spec.channels > 1)}, {spec.dtype}, {low:g} to {high:g}"
