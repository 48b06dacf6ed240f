"""The run folder as the trainer sees it: one trainer at a time, the same settings on resuming, rows cut back.

run.json               what the run is (inference reads it too)
state.safetensors      the whole training state
snapshots/             last.safetensors, best.safetensors: generators alone
metrics.jsonl          one row a log point or validation
samples/00002000.png   input, output and target after so many images
refused.json           training pictures that the content gate left out
tensorboard/           where asked for
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganvas.errors import ConfigError, RunError
from ganvas.image.atomic import write_text
from ganvas.image.picture import PictureSpec
from ganvas.inference.record import RECORD_NAME, read_run_record
from ganvas.records import from_record, to_record
from ganvas.training.checkpoint import STATE_NAME
from ganvas.training.config import RunConfig, TrainingConfig

LOCK_NAME = "lock"
METRICS_NAME = "metrics.jsonl"
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
"""Settings that may change on resuming: how long, how often, where, how fast, and what mends a divergence."""
FAILED_START = frozenset({LOCK_NAME, REFUSED_NAME, RECORD_NAME, METRICS_NAME})
"""All that is left of a start that failed before its first checkpoint; none of it could be gone on with."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.\w+")
"""The name of a file that a killed process was writing."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the folder against a second trainer; the system lets go of it however this process ends.

    Raises:
        RunError: another trainer holds it.
    """
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK_NAME).open("a+") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise RunError(
                f"{run} is being trained by another process; wait for it or choose another folder"
            ) from error
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_folder(run: Path, config: RunConfig, *, resume: bool) -> None:
    """Whether `config` may be trained in `run`; sweeps away what a killed process left half written.

    Raises:
        RunError: it holds more than a start that failed and `resume` is off, or holds a run with other settings.
    """
    for path in [*run.glob(".*"), *(run / "snapshots").glob(".*"), *(run / "samples").glob(".*")]:
        if TEMPORARY.fullmatch(path.name):
            path.unlink()
    if not resume:
        if there := sorted(path.name for path in run.iterdir() if path.name not in FAILED_START):
            shown = ", ".join(there[:5])
            raise RunError(f"{run} already holds {shown}: resume that run, or choose another folder")
        return
    if (run / RECORD_NAME).exists():
        check_same(read_config(run), config, run)
    elif (run / STATE_NAME).exists():
        raise RunError(f"{run} has a training state but no {RECORD_NAME}; choose another folder")


def read_config(run: Path) -> RunConfig:
    """What the run in this folder trains, as it was started.

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
                "pictures like those it learnt from, or train anew in another folder"
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
        row = json.loads(line)
        images = int(row["images"])
        return images < limit or (images == limit and not (evaluation_due and row["kind"] == "validation"))
    except (ValueError, KeyError, TypeError):
        return False
