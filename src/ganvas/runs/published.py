"""Published run: a run in the layout of a Hugging Face model, `config.json` and `model.safetensors`.

`ganvas export --format huggingface` writes such a folder, and everything that reads a run reads one too. It contains
one snapshot and the public part of the run record, without the folder of the training data and the trainer's settings;
imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganvas.errors import ConfigError, RunError
from ganvas.filesystem.paths import sha256_of
from ganvas.serialization import from_record, read_json

RECORD_NAME = "run.json"
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
PUBLISHED_FORMAT = 1
UNPUBLISHED = Path("not published")
"""Placeholder for the folder of the training data in a published record."""
LONGEST_LICENSE = 200
"""Largest number of characters of a license."""


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """Content of the `config.json` of a published run."""

    library_name: Literal["ganvas"] = "ganvas"
    format: int = PUBLISHED_FORMAT
    """Version of the file format."""
    name: str
    """Name of the run's folder, used in the labels of its outputs."""
    snapshot: str
    """Published snapshot: best, last, or the stem of another file."""
    images_seen: int
    """Training images up to the snapshot."""
    weights_sha256: str
    """SHA-256 of `model.safetensors`."""
    license: str | None = None
    """License of the weights as an identifier of the Hub, such as apache-2.0; None if the author stated none."""
    run: dict[str, Any]
    """Run record (`ganvas.runs.record.RunRecord`) without folders and settings of the trainer."""

    def __post_init__(self) -> None:
        if self.name != publishable_name(self.name):  # exports are named after the run
            raise ConfigError(f"name {self.name!r} is not a folder name")
        if not self.snapshot.isprintable():
            raise ConfigError(f"snapshot {self.snapshot!r} is not a snapshot name")
        check_license(self.license)


def check_license(text: str | None) -> None:
    """Raise ConfigError unless a license is one line that metadata and model cards can store."""
    if text is None:
        return
    if not text.strip():
        raise ConfigError("license is empty: omit it if it is not stated")
    if not text.isprintable():
        raise ConfigError(
            f"license {text[:40]!r} has line breaks or other characters that cannot be printed; use an identifier "
            "such as CC-BY-4.0, or one line that says where the license is"
        )
    if len(text) > LONGEST_LICENSE:
        raise ConfigError(
            f"license has {len(text)} characters, more than {LONGEST_LICENSE}; use its identifier or its address, and "
            "put its text into a separate file"
        )


def publishable_name(name: str) -> str:
    """Return the name of a run as a portable folder name, without separators and unprintable characters."""
    kept = "".join("-" if sign in "/\\:" or not sign.isprintable() else sign for sign in name)
    return kept if kept.strip(". ") else "run"


def is_published(run: Path) -> bool:
    """Return whether a folder has the layout of a published run; a training run in the same folder takes precedence."""
    return not (run / RECORD_NAME).exists() and (run / CONFIG_NAME).is_file()


def record_path(run: Path) -> Path:
    """Return the file of a run that describes it; it need not exist."""
    return run / (CONFIG_NAME if is_published(run) else RECORD_NAME)


def run_name(run: Path) -> str:
    """Return the name of a run for labels and reports: that of its folder, or its published name."""
    return read_published(run).name if is_published(run) else run.resolve().name


def read_published(folder: Path) -> PublishedRun:
    """Read the `config.json` of a published run strictly.

    Raises:
        RunError: it cannot be read, is of another library or of another version.
    """
    path = folder / CONFIG_NAME
    try:
        content = read_json(path)
    except OSError as error:
        raise RunError(f"{folder} is not a published run: {CONFIG_NAME} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}; export or download it again") from error
    if not isinstance(content, dict) or content.get("library_name") != "ganvas":
        raise RunError(f"{path} describes a model of another library; ganvas reads models that `ganvas export` wrote")
    if content.get("format") != PUBLISHED_FORMAT:
        raise RunError(
            f"{path} has format {content.get('format')}; this version of ganvas reads {PUBLISHED_FORMAT}: install a "
            "newer version"
        )
    try:
        return from_record(PublishedRun, content)
    except RunError as error:
        raise RunError(f"{path}: {error}") from error


def check_weights(folder: Path) -> None:
    """Verify the weights of a published run against the hash in its `config.json`.

    Raises:
        RunError: the file is missing, truncated or another one.
    """
    path, expected = folder / WEIGHTS_NAME, read_published(folder).weights_sha256
    try:
        found = sha256_of(path)
    except OSError as error:
        raise RunError(
            f"{folder}: {WEIGHTS_NAME} cannot be read ({error.strerror}); export or download it again"
        ) from error
    if found != expected:
        raise RunError(
            f"{path} has SHA-256 {found}, but {CONFIG_NAME} has {expected}: the file is damaged or of another model; "
            "export or download it again"
        )
