"""Run folder: the names of its files, its lock, and the checks before a start or a resumption.

run.json               the record: method, data, training, picture types
state.safetensors      the whole training state
snapshots/             last.safetensors, best.safetensors: the generators alone
metrics.jsonl          one row for each log point or validation
samples/00002000.png   preview grid after that many images
refused.json           training pictures that the content gate left out
tensorboard/           events, where TensorBoard is on
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ganvas.data.config import DataConfig
from ganvas.data.layouts import data_files, data_folders
from ganvas.errors import RunError
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_text
from ganvas.runs.checkpoint import STATE_NAME
from ganvas.runs.record import RECORD_NAME
from ganvas.runs.snapshots import snapshot_path
from ganvas.serialization import check_name, parse_json

METRICS_NAME = "metrics.jsonl"
REFUSED_NAME = "refused.json"
UNSAVED_NAME = ".unsaved"
"""Marker file that exists from the start of a run until its first checkpoint."""
NUMBERED = re.compile(r"\d+\.png")


def lock_run(run: Path) -> AbstractContextManager[None]:
    """Lock the run folder against a second trainer, and remove temporary files of a killed one.

    Raises:
        FolderInUse: another trainer holds it.
    """
    return claimed(run, beside=[run / "snapshots", run / "samples"], tensors=True)


def check_folder(run: Path, data: DataConfig, *, resume: bool) -> None:
    """Check that a run may be trained in this folder, and clear a start that failed before its first checkpoint.

    Raises:
        RunError: it holds other files and `resume` is off, or a training state without a record.
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
        if there := sorted(path.name for path in run.iterdir() if path.name not in own):
            shown = ", ".join(there[:5])
            raise RunError(f"{run} already holds {shown}: resume that run, or choose another folder")
    elif (run / STATE_NAME).exists() and not (run / RECORD_NAME).exists():
        raise RunError(f"{run} has a training state but no {RECORD_NAME}; choose another folder")


def mark_unsaved(run: Path) -> None:
    """Mark the run as without a checkpoint: if this start fails, the next one may start over."""
    write_text(run / UNSAVED_NAME, "No checkpoint was saved yet: training may begin anew in this folder.\n")


def mark_saved(run: Path) -> None:
    """Remove the mark of a run without a checkpoint."""
    (run / UNSAVED_NAME).unlink(missing_ok=True)


def _clear_failed_start(run: Path) -> None:
    """Remove the files of a failed start that the next one would not replace, and nothing else."""
    boards = (run / "tensorboard").glob("events.out.tfevents.*")
    grids = (path for path in (run / "samples").glob("*.png") if NUMBERED.fullmatch(path.name))
    for path in (*boards, *grids, snapshot_path(run, "best"), snapshot_path(run, "last")):
        path.unlink(missing_ok=True)
    for name in ("tensorboard", "samples", "snapshots"):
        with suppress(OSError):  # missing, or not empty: it holds files of the user's
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
