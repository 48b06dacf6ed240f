"""Checkpoint of a run: the whole training state in one safetensors file, atomic and without pickle.

Its tensors are `method/<key>`, `optimizer/<player>/<index>/<key>`, `average/<key>` and `losses/<name>`; its metadata is
JSON with the counters. Random generators need no entry: the noise of each step is seeded from the images seen.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ganvas.errors import RunError
from ganvas.runs.snapshots import UNREADABLE
from ganvas.serialization import from_record, parse_json, save_tensors, to_record

STATE_NAME = "state.safetensors"
STATE_FORMAT = "ganvas training state 2"
FIRST_FORMAT = "ganvas training state 1"
RENAMED = {"judge": "discriminator", "judge_a": "discriminator_a", "judge_b": "discriminator_b"}
"""Networks and players of the built-in methods in checkpoints of the first format -> their present names."""
MOST = 2**53
"""Upper limit of plausible counts and seconds."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The counters of a checkpoint."""

    images_seen: int = 0
    step: int = 0
    seconds: float = 0.0
    """Training time over all resumptions."""
    pictures: int
    """Number of training pictures, so that a run is not resumed on other data."""
    best: dict[str, float] = field(default_factory=dict)
    """The best validation so far: images, psnr, ssim, l1."""
    evaluation_due: bool = False
    """Validation and preview grid at this image, which may fail, are not done yet."""
    loss_counts: dict[str, int] = field(default_factory=dict)
    """Number of steps in the sum of each loss since the last row of metrics."""
    reserved: float = 0.0
    """Expected seconds of another step and of the last validation, preview grid and checkpoint."""

    def __post_init__(self) -> None:
        counts = {"images_seen": self.images_seen, "step": self.step, "pictures": self.pictures, **self.loss_counts}
        if odd := [f"{name} {count}" for name, count in counts.items() if not 0 <= count < MOST]:
            raise RunError(f"{odd[0]} is no count")
        if not 0 <= self.seconds < MOST:
            raise RunError(f"seconds {self.seconds} is no time")
        if self.best and not {"images", "psnr"} <= self.best.keys():
            raise RunError("best lacks images or psnr")
        if any(math.isnan(value) for value in self.best.values()):
            raise RunError("best holds a NaN")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        tensors: name -> tensor, on the CPU.
        counters: of the run at that moment.
        is_complete: every tensor that was saved is known to be there; False for files without a hash of their names.
    """

    tensors: dict[str, Tensor]
    counters: Counters
    is_complete: bool

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below `prefix/`, named without it."""
        start = f"{prefix}/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], counters: Counters) -> None:
    """Write a checkpoint atomically: after a crash there is either the old file or the new one."""
    metadata = {"format": STATE_FORMAT, "counters": json.dumps(to_record(counters)), "names": _hash_names(tensors)}
    save_tensors(path, tensors, metadata)


def _hash_names(tensors: Iterable[str]) -> str:
    """Return the SHA-256 of all names; which moments an optimizer has does not follow from the networks."""
    return hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check that it is complete.

    Raises:
        RunError: not a checkpoint, or a damaged one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (STATE_FORMAT, FIRST_FORMAT):
                raise RunError(f"{path} is not a training state of this ganvas ('{STATE_FORMAT}')")
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except UNREADABLE as error:
        raise RunError(f"{path} cannot be read as a training state: {error}") from error
    names = metadata.get("names")  # None in files that earlier versions wrote
    if names is not None and names != _hash_names(tensors):
        raise RunError(f"{path} lacks tensors that were saved, or holds others: the file is damaged; take a copy of it")
    counters = _read_counters(metadata, path)
    if metadata["format"] == FIRST_FORMAT:
        tensors = {_present_name(name): value for name, value in tensors.items()}
        counts = {_present_name(name): count for name, count in counters.loss_counts.items()}
        counters = replace(counters, loss_counts=counts)
    checkpoint = Checkpoint(tensors, counters, is_complete=names is not None)
    losses = checkpoint.below("losses")
    are_sums = all(value.shape == () and value.is_floating_point() for value in losses.values())
    if losses.keys() != checkpoint.counters.loss_counts.keys() or not are_sums:
        raise RunError(f"{path}: its sums of losses do not fit its counters; the file is damaged")
    return checkpoint


def _present_name(name: str) -> str:
    """Return the present name of a tensor or loss: each part between `/` and `.` is looked up in `RENAMED`."""
    return re.sub(r"[^/.]+", lambda part: RENAMED.get(part[0], part[0]), name)


def _read_counters(metadata: Mapping[str, str], path: Path) -> Counters:
    try:
        return from_record(Counters, parse_json(metadata.get("counters", "")))
    except ValueError as error:
        raise RunError(f"{path}: its counters cannot be read: {error}") from error
