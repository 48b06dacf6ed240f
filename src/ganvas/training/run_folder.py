"""Run folder of a training: locking, resumption checks and truncated metrics.

run.json               what the run is (inference reads it too)
state.safetensors      the whole training state
snapshots/             last.safetensors, best.safetensors: generators alone
metrics.jsonl          one row a log point or validation
samples/00002000.png   input, output and target after so many images
refused.json           training pictures that the content gate left out
tensorboard/           where asked for
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from ganvas.data.layouts import data_files, data_folders
from ganvas.errors import ConfigError, RunError
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_text
from ganvas.image.picture import PictureSpec
from ganvas.inference.record import RECORD_NAME, read_run_record, snapshot_path
from ganvas.serialization import check_name, from_record, parse_json, to_record
from ganvas.training.checkpoint import STATE_NAME
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.monitoring import METRICS_NAME

REFUSED_NAME = "refused.json"
FREE = frozenset(
    {f"training.{name}" for name in ("epochs", "minutes", "checkpoint_every", "checkpoint_minutes", "validate_every")}
    | {
        f"training.{name}"
        for name in ("validation_pictures", "sample_every", "log_every", "tensorboard", "device", "threads")
    }
    | {"training.learning_rate", "training.precision", "data.folder", "data.split_file"}
    | {"training.accumulate", "training.compile", "training.capture"}
)
"""Settings that may change on resuming: how long, how often, where, how fast, and what helps after a divergence."""
UNSAVED_NAME = ".unsaved"
"""Lies in the run folder from the start until the first checkpoint."""
NUMBERED = re.compile(r"\d+\.png")


def locked(run: Path) -> AbstractContextManager[None]:
    """Hold the run folder against a second trainer, and remove what a killed one left half written.

    Raises:
        FolderInUse: another trainer holds it.
    """
    return claimed(run, beside=[run / "snapshots", run / "samples"], tensors=True)


def check_folder(run: Path, config: RunConfig, *, resume: bool) -> None:
    """Check that `config` may be trained in `run`, and clear a start that failed before its first checkpoint.

    Raises:
        RunError: it holds something else and `resume` is off, or holds a run with other settings.
        InputError: a training picture lies where the run writes, or the run in a folder of them.
    """
    check_name(run)
    own = {REFUSED_NAME}
    if (run / UNSAVED_NAME).exists() and not (run / STATE_NAME).exists():
        _clear_failed_start(run)
        own |= {UNSAVED_NAME, RECORD_NAME, METRICS_NAME}
    written = [*run.glob("*"), *(run / "snapshots").glob("*"), *(run / "samples").glob("*")]
    require_apart((path for path in written if path.is_file()), data_files(config.data))
    if not resume:
        require_outside(run, *data_folders(config.data))
        if there := sorted(path.name for path in run.iterdir() if path.name not in own):
            shown = ", ".join(there[:5])
            raise RunError(f"{run} already holds {shown}: resume that run, or choose another folder")
        return
    if (run / RECORD_NAME).exists():
        check_same(read_config(run), config, run)
    elif (run / STATE_NAME).exists():
        raise RunError(f"{run} has a training state but no {RECORD_NAME}; choose another folder")


def mark_unsaved(run: Path) -> None:
    """Note that no checkpoint has been saved: a start that fails now may be begun anew."""
    write_text(run / UNSAVED_NAME, "No checkpoint was saved yet: training may begin anew in this folder.\n")


def mark_saved(run: Path) -> None:
    """Note that a checkpoint has been saved."""
    (run / UNSAVED_NAME).unlink(missing_ok=True)


def _clear_failed_start(run: Path) -> None:
    """Remove what a start without a checkpoint wrote and the next one would not replace, and nothing else."""
    boards = (run / "tensorboard").glob("events.out.tfevents.*")
    grids = (path for path in (run / "samples").glob("*.png") if NUMBERED.fullmatch(path.name))
    for path in (*boards, *grids, snapshot_path(run, "best"), snapshot_path(run, "last")):
        path.unlink(missing_ok=True)
    for name in ("tensorboard", "samples", "snapshots"):
        with suppress(OSError):  # it is not there, or holds something of the user's
            (run / name).rmdir()


def read_config(run: Path) -> RunConfig:
    """Return what the run in this folder trains, as it was started.

    Raises:
        RunError: no run, or one that was not trained here (an imported one).
    """
    record = read_run_record(run)
    if record.training is None or record.data is None:
        raise RunError(f"{run} was not trained by ganvas, so there is nothing to resume")
    training = from_record(TrainingConfig, record.training)
    return RunConfig(method=record.method, data=record.data, training=training)


def check_same(before: RunConfig, now: RunConfig, run: Path) -> None:
    """Raise where a setting differs that makes another run.

    Raises:
        RunError: names each difference.
    """
    old, new = flat_settings(before), flat_settings(now)
    changed = [name for name in {**old, **new} if name not in FREE and old.get(name) != new.get(name)]
    if changed:
        told = "; ".join(f"{name} was {old.get(name)}, now {new.get(name)}" for name in changed)
        raise RunError(f"{run} cannot be resumed with other settings: {told}. Keep them, or choose another folder")


def check_specs(run: Path, given: PictureSpec, made: PictureSpec) -> None:
    """Raise where the pictures are of another kind than those that the run's state comes from.

    Raises:
        ConfigError: says what they were and are.
    """
    record = read_run_record(run)
    for side, was, now in (("input", record.input, given), ("output", record.output, made)):
        if was != now:
            raise ConfigError(
                f"{run} was trained with an {side} of {_told(was)}, the data now has {_told(now)}: resume it on "
                "pictures like those it learned from, or train anew in another folder"
            )


def _told(spec: PictureSpec) -> str:
    low, high = spec.value_range
    return f"{spec.channels} channel{'s' * (spec.channels > 1)}, {spec.dtype}, {low:g} to {high:g}"


def flat_settings(config: RunConfig) -> dict[str, Any]:
    """`<part>.<field>` -> value, of a whole run."""
    parts = to_record(config)
    return {f"{part}.{name}": value for part in ("method", "data", "training") for name, value in parts[part].items()}


def cut_metrics(run: Path, images_seen: int, *, evaluation_due: bool = False) -> None:
    """Drop the rows after `images_seen`, and a last one that a crash left half written.

    With `evaluation_due`, also the validation at that moment, which is made again.
    """
    path = run / METRICS_NAME
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _stays(line, images_seen, evaluation_due=evaluation_due)]
        write_text(path, "".join(f"{line}\n" for line in kept))


def _stays(line: str, limit: int, *, evaluation_due: bool) -> bool:
    try:
        row = parse_json(line)
        images = int(row["images"])
        return images < limit or (images == limit and not (evaluation_due and row["kind"] == "validation"))
    except (ValueError, KeyError, TypeError):
        return False
