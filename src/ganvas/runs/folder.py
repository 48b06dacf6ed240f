"""Run folder: file names, lock, checks before a start or a resumption, and the checkpoint.

run.json               the record: method, data, training, picture types
state.safetensors      the checkpoint: the complete training state
snapshots/             last.safetensors, best.safetensors: only the generators
metrics.jsonl          one row for each log point or validation
samples/00002000.png   preview grid after that many images
refused.json           training pictures that the content gate excluded
tensorboard/           events, if TensorBoard is enabled

The checkpoint is a single file, written atomically, without pickle. Its tensors are `method/<key>`,
`optimizer/<player>/<index>/<key>`, `average/<key>` and `losses/<name>`; its metadata is JSON with the counters. Random
generators need no entry: the noise of each step is seeded from the images seen.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ganvas.data.config import DataConfig
from ganvas.data.layouts import data_files, data_folders
from ganvas.errors import RunError
from ganvas.filesystem import claimed, contents_of, require_apart, require_outside
from ganvas.filesystem.atomic import write_text
from ganvas.runs.published import RECORD_NAME
from ganvas.runs.record import UNREADABLE, snapshot_path
from ganvas.serialization import check_name, from_record, parse_json, save_tensors, to_record

STATE_NAME = "state.safetensors"
STATE_FORMAT = "ganvas training state 2"
FIRST_FORMAT = "ganvas training state 1"
RENAMED = {"judge": "discriminator", "judge_a": "discriminator_a", "judge_b": "discriminator_b"}
"""Networks and players of the built-in methods in checkpoints of the first format -> current names."""
MOST = 2**53
"""Largest plausible count or number of seconds."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Counters of a checkpoint."""

    images_seen: int = 0
    step: int = 0
    seconds: float = 0.0
    """Training time over all resumptions."""
    pictures: int
    """Number of training pictures, so that a run is not resumed on other data."""
    best: dict[str, float] = field(default_factory=dict)
    """Best validation so far: images, psnr, ssim, l1."""
    evaluation_due: bool = False
    """Whether the validation and preview grid at this image, which may fail, are still due."""
    is_evaluated: bool = True
    """Whether a run that ends at this image needs no further evaluation; earlier versions did not record it."""
    loss_counts: dict[str, int] = field(default_factory=dict)
    """Number of steps in the sum of each loss since the last row of metrics."""
    reserved: float = 0.0
    """Expected seconds of another step and of the last validation, preview grid and checkpoint."""

    def __post_init__(self) -> None:
        counts = {"images_seen": self.images_seen, "step": self.step, "pictures": self.pictures, **self.loss_counts}
        if odd := [f"{name} {count}" for name, count in counts.items() if not 0 <= count < MOST]:
            raise RunError(f"{odd[0]} is not a count")
        if not 0 <= self.seconds < MOST:
            raise RunError(f"seconds {self.seconds} is not a duration")
        if self.best and not {"images", "psnr"} <= self.best.keys():
            raise RunError("best lacks images or psnr")
        if any(math.isnan(value) for value in self.best.values()):
            raise RunError("best contains NaN")


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes:
        tensors: name -> tensor, on the CPU.
        counters: counters of the run at that moment.
        is_complete: whether all saved tensors are known to be present; False for files without a hash of the names.
    """

    tensors: dict[str, Tensor]
    counters: Counters
    is_complete: bool

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below `prefix/`, without the prefix in their names."""
        start = f"{prefix}/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], counters: Counters) -> None:
    """Write a checkpoint atomically: after a crash either the old or the new file exists."""
    metadata = {"format": STATE_FORMAT, "counters": json.dumps(to_record(counters)), "names": _hash_names(tensors)}
    save_tensors(path, tensors, metadata)


def _hash_names(tensors: Iterable[str]) -> str:
    """Return the SHA-256 of all names, because the networks do not determine which moments an optimizer has."""
    return hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check that it is complete.

    Raises:
        RunError: the file is not a checkpoint, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (STATE_FORMAT, FIRST_FORMAT):
                raise RunError(f"{path} is not a training state of this version of ganvas ('{STATE_FORMAT}')")
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except UNREADABLE as error:
        raise RunError(f"{path} cannot be read as a training state: {error}") from error
    names = metadata.get("names")  # None in files of earlier versions
    if names is not None and names != _hash_names(tensors):
        raise RunError(f"{path} lacks saved tensors, or contains others: the file is damaged; use a backup")
    counters = _read_counters(metadata, path)
    if metadata["format"] == FIRST_FORMAT:
        tensors = {_present_name(name): value for name, value in tensors.items()}
        counts = {_present_name(name): count for name, count in counters.loss_counts.items()}
        counters = replace(counters, loss_counts=counts)
    checkpoint = Checkpoint(tensors, counters, is_complete=names is not None)
    losses = checkpoint.below("losses")
    are_sums = all(value.shape == () and value.is_floating_point() for value in losses.values())
    if losses.keys() != checkpoint.counters.loss_counts.keys() or not are_sums:
        raise RunError(f"{path}: its sums of losses do not match its counters; the file is damaged")
    return checkpoint


def _present_name(name: str) -> str:
    """Return the current name of a tensor or loss: each part between `/` and `.` is looked up in `RENAMED`."""
    return re.sub(r"[^/.]+", lambda part: RENAMED.get(part[0], part[0]), name)


def _read_counters(metadata: Mapping[str, str], path: Path) -> Counters:
    try:
        return from_record(Counters, parse_json(metadata.get("counters", "")))
    except ValueError as error:
        raise RunError(f"{path}: its counters cannot be read: {error}") from error


METRICS_NAME = "metrics.jsonl"
REFUSED_NAME = "refused.json"
UNSAVED_NAME = ".unsaved"
"""Marker file that exists from the start of a run until its first checkpoint."""
NUMBERED = re.compile(r"\d+\.png")


def lock_run(run: Path) -> AbstractContextManager[None]:
    """Lock the run folder against a second trainer, and remove temporary files of a killed one.

    Raises:
        FolderInUse: another trainer has locked it.
    """
    return claimed(run, beside=[run / "snapshots", run / "samples"], tensors=True)


def check_folder(run: Path, data: DataConfig, *, resume: bool) -> None:
    """Check that a run may be trained in this folder, and remove files of a start without a checkpoint.

    Raises:
        RunError: it contains other files and `resume` is False, or a training state without a record.
        InputError: the run would overwrite a training picture, or its folder is inside the data.
    """
    check_name(run)
    own = {REFUSED_NAME}
    if (run / UNSAVED_NAME).exists() and not (run / STATE_NAME).exists():
        _clear_failed_start(run)
        own |= {UNSAVED_NAME, RECORD_NAME, METRICS_NAME}
    written = [*run.glob("*"), *(run / "snapshots").glob("*"), *(run / "samples").glob("*")]
    require_apart((path for path in written if path.is_file()), data_files(data))
    if not resume:
        require_outside(run, *data_folders(data))
        if there := sorted(path.name for path in contents_of(run) if path.name not in own):
            shown = ", ".join(there[:5])
            raise RunError(f"{run} already contains {shown}: resume that run, or use another folder")
    elif (run / STATE_NAME).exists() and not (run / RECORD_NAME).exists():
        raise RunError(f"{run} has a training state but no {RECORD_NAME}; use another folder")


def mark_unsaved(run: Path) -> None:
    """Mark the run as without a checkpoint, so that it can be started again if this start fails."""
    write_text(run / UNSAVED_NAME, "No checkpoint was saved yet: training can be started again in this folder.\n")


def mark_saved(run: Path) -> None:
    """Remove the mark of a run without a checkpoint."""
    (run / UNSAVED_NAME).unlink(missing_ok=True)


def _clear_failed_start(run: Path) -> None:
    """Remove only the files of a failed start that the next start would not replace."""
    boards = (run / "tensorboard").glob("events.out.tfevents.*")
    grids = (path for path in (run / "samples").glob("*.png") if NUMBERED.fullmatch(path.name))
    for path in (*boards, *grids, snapshot_path(run, "best"), snapshot_path(run, "last")):
        path.unlink(missing_ok=True)
    for name in ("tensorboard", "samples", "snapshots"):
        with suppress(OSError):  # missing, or not empty because it contains files of the user
            (run / name).rmdir()


def preview_path(run: Path, images_seen: int) -> Path:
    """Return the path of the preview grid after `images_seen` images."""
    return run / "samples" / f"{images_seen:08d}.png"


def truncate_metrics(run: Path, images_seen: int, *, evaluation_due: bool = False) -> None:
    """Drop the rows after `images_seen`, and a last row that a crash left incomplete.

    With `evaluation_due`, also drop the validation at `images_seen`, which is repeated.
    """
    path = run / METRICS_NAME
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _is_kept(line, images_seen, evaluation_due=evaluation_due)]
        write_text(path, "".join(f"{line}\n" for line in kept))


def _is_kept(line: str, limit: int, *, evaluation_due: bool) -> bool:
    try:
        row = parse_json(line)
        images = int(row["images"])
        return images < limit or (images == limit and not (evaluation_due and row["kind"] == "validation"))
    except (ValueError, KeyError, TypeError):
        return False
