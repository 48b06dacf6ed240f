"""Sampling of pictures from a trained run: gated, labeled as synthetic, with an overview grid."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganvas.bulk.journal import hash_files
from ganvas.content_gate import AdmittedPicture, admit_many, as_sheet, write_synthetic
from ganvas.errors import ConfigError, InputError, PolicyRefusal
from ganvas.filesystem import claimed, contents_of
from ganvas.filesystem.atomic import write_json
from ganvas.hardware.device import choose_device, choose_precision, cores_for_networks
from ganvas.hardware.threads import computing_with
from ganvas.image.files import IMAGE_SUFFIXES
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture, PictureSpec, make_grid
from ganvas.image.ranges import from_signed
from ganvas.inference.config import SampleConfig
from ganvas.inference.folder import as_one
from ganvas.inference.prepacking import lower
from ganvas.methods.base import Method, method_type, methods
from ganvas.methods.config import Domain
from ganvas.progress import track
from ganvas.runs import SnapshotName
from ganvas.runs.published import record_path, run_name
from ganvas.runs.record import RunRecord, find_snapshot, load_generators, read_run_record
from ganvas.serialization import read_json

__all__ = ["SamplingReport", "sample_files"]

GRID_NAME = "grid.png"
SETTINGS_NAME = ".sample.json"
"""File with the settings of an unfinished sampling run; only the same command may continue in the folder."""
GRID_COLUMNS = 8
GRID_MOST = 64
"""Largest number of samples on the overview grid."""
GRAY = 128
Drawn = dict[Domain, Picture]


@dataclass(frozen=True)
class SamplingReport:
    """Result of a sampling run.

    Attributes:
        written: files of the samples, in order.
        grid: file of the overview grid.
        seconds: total time.
    """

    written: list[Path]
    grid: Path
    seconds: float

    def __str__(self) -> str:
        return f"{len(self.written)} pictures and {self.grid} written, in {self.seconds:.1f} s"


def sample_files(config: SampleConfig, *, progress: bool = True) -> SamplingReport:
    """Sample pictures from a trained run, and label every file as synthetic.

    Files are named 00000, 00001 and so on; a method that samples both sides writes folders a and b, and files of the
    same name correspond. A picture depends on the seed and its name only, not on the number of samples.

    Args:
        config: run, output and number of samples; `out` may contain the files of an interrupted call of the same
            command.
        progress: show a progress bar with the remaining time.

    Raises:
        ConfigError: the run's method does not sample pictures, or bfloat16 is not fast on the device.
        PolicyRefusal: pictures were refused; the others are written. Of a pair, neither is written.
        InputError: the run, the folder or a setting is invalid, or a picture cannot be written.
    """
    started, where = time.monotonic(), choose_device(config.device)
    run, out, count, suffix = config.run, config.out, config.count, config.suffix
    computed, record = choose_precision(config.precision, where), read_run_record(run)
    sides = _check(record, suffix=suffix)
    settings = {
        "run": _identity(run, config.snapshot), "seed": config.seed, "count": count, "suffix": suffix,
        "precision": computed,
    }  # fmt: skip
    # The settings in the folder allow only the same command to resume
    with claimed(out, beside=[out / side for side in sides]), _noted(out, settings):
        method = load_generators(run, config.snapshot).to(where)
        for name in method.generators if computed == "bfloat16" else ():
            lower(getattr(method, name))
        album = _Album(out, sides, suffix, _label(run, record))
        draws = _draws(method, _specs(record, sides), where, count=count, seed=config.seed)
        for drawn in track(draws, "sample", total=count, shown=progress):
            album.add(drawn)
        album.write_grid()
    if album.refused:
        raise as_one(album.refused, count * len(sides))
    return SamplingReport(album.written, out / GRID_NAME, time.monotonic() - started)


class _Album:
    """Output folder of the samples.

    Attributes:
        written: files, in order.
        refused: refusals of the gate; refused samples are not written.
    """

    def __init__(self, folder: Path, sides: Sequence[Domain], suffix: str | None, label: SyntheticLabel) -> None:
        self._folder, self._sides, self._suffix, self._label = folder, sides, suffix, label
        self._number, self._shown, self._on_grid = 0, list[Drawn](), list[AdmittedPicture]()
        self.written, self.refused = list[Path](), list[PolicyRefusal]()

    def add(self, drawn: Drawn) -> None:
        """Pass pictures through the gate and write them; keep the first ones for the grid."""
        names = {side: f"{side}/{self._number:05d}" if len(drawn) > 1 else f"{self._number:05d}" for side in drawn}
        outcomes = admit_many([(names[side], picture) for side, picture in drawn.items()])
        self.refused += (refusals := [outcome for outcome in outcomes if isinstance(outcome, PolicyRefusal)])
        admitted = [] if refusals else [outcome for outcome in outcomes if isinstance(outcome, AdmittedPicture)]
        for side, one in zip(drawn, admitted, strict=False):
            self.written.append(self._folder / f"{names[side]}{self._suffix or _suffix(one.picture.spec)}")
            write_synthetic(self.written[-1], one, self._label)
        if self._number < GRID_MOST:
            self._on_grid += admitted
            self._shown.append(drawn if admitted else {side: _gray(picture) for side, picture in drawn.items()})
        self._number += 1

    def write_grid(self) -> None:
        """Write a grid of the first samples, with the two sides one above the other and refused samples in gray."""
        if not self._on_grid:
            return
        rows, labels = list[list[Picture]](), list[str]()
        for start in range(0, len(self._shown), GRID_COLUMNS):
            for side in self._sides:
                rows.append([drawn[side] for drawn in self._shown[start : start + GRID_COLUMNS]])
                labels.append(side)
        grid = make_grid(rows, row_labels=labels if len(self._sides) > 1 else None)
        sheet = as_sheet(Picture(grid), self._on_grid, name=GRID_NAME)
        write_synthetic(self._folder / GRID_NAME, sheet, self._label)


def _check(record: RunRecord, *, suffix: str | None) -> tuple[Domain, ...]:
    """Check everything that does not need the weights, and return the sides that the method samples."""
    kind = method_type(record.method)
    if not kind.samples:
        drawing = ", ".join(sorted(method.__name__ for method in methods().values() if method.samples))
        raise ConfigError(
            f"{kind.__name__} translates pictures and does not sample from noise: use ganvas translate, or a run of a "
            f"method that samples ({drawing})"
        )
    if suffix is not None and suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"suffix {suffix!r} is not supported; use one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    return kind.samples


def _identity(run: Path, snapshot: SnapshotName) -> str:
    """Return the SHA-256 of all files that determine the samples."""
    return hash_files(find_snapshot(run, snapshot), record_path(run))


@contextmanager
def _noted(out: Path, settings: dict[str, object]) -> Iterator[None]:
    """Store the settings in the folder during the block, so that the same command resumes after an interruption.

    Raises:
        InputError: the folder contains other files.
    """
    note = out / SETTINGS_NAME
    try:
        same = read_json(note) == settings
    except (OSError, ValueError):
        same = False
    if not same and contents_of(out):
        raise InputError(f"{out} contains other files; use another folder, so that old and new pictures do not mix")
    write_json(note, settings)
    try:
        yield
    except Exception:
        if contents_of(out) == [note]:  # otherwise, as after a full disk, they are kept for resuming
            note.unlink()
        raise
    note.unlink()


def _specs(record: RunRecord, sides: Sequence[Domain]) -> dict[Domain, PictureSpec]:
    """Return the picture specification of each side."""
    both: dict[Domain, PictureSpec] = {"a": record.input, "b": record.output}
    return {side: both[side] for side in sides}


def _draws(
    method: Method, specs: dict[Domain, PictureSpec], device: torch.device, *, count: int, seed: int
) -> Iterator[Drawn]:
    """Yield one sample after the other, each from its own noise; the global random state is restored."""
    threads = cores_for_networks()
    devices = [device] if device.type == "cuda" else []
    for number in range(count):
        with torch.random.fork_rng(devices=devices), torch.inference_mode(), computing_with(threads):
            torch.manual_seed(noise_seed(seed, number))
            made = method.sample(1)
        pairs = zip(specs.items(), made, strict=True)
        yield {side: _picture(images, spec) for (side, spec), images in pairs}


def noise_seed(seed: int, number: int) -> int:
    """Return the noise seed of a sample: 63 bits of a hash, so that neighboring seeds share no samples."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8]) >> 1


def _picture(images: Tensor, spec: PictureSpec) -> Picture:
    """Convert (1, C, H, W) in [-1, 1] to a picture of the run's own type."""
    return Picture(from_signed(images[0].float().permute(1, 2, 0).cpu().numpy(), spec))


def _gray(picture: Picture) -> Picture:
    return Picture(np.full((picture.height, picture.width, 3), GRAY, np.uint8))


def _suffix(spec: PictureSpec) -> str:
    return ".png" if spec.dtype != "float32" and spec.channels in (1, 3) else ".tif"


def _label(run: Path, record: RunRecord) -> SyntheticLabel:
    method = type(record.method).__name__.removesuffix("Config")
    return SyntheticLabel(
        software=f"ganvas {version('ganvas')}",
        model=f"{method} ({run_name(run)})",
        note="This picture was generated from random numbers by a trained model.",
    )
