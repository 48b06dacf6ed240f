"""Run folders: a start that failed before its first checkpoint can be repeated; nothing else is ever removed."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_runs import MakeConfig, assert_same_run

import ganvas
from ganvas.errors import ConfigError, DataError, InputError, RunError
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.runs.folder import UNSAVED_NAME
from ganvas.runs.record import read_run_record, write_run_record
from ganvas.serialization import to_record
from ganvas.training import observers, state
from ganvas.training.config import RunConfig
from ganvas.training.loop import train
from ganvas.training.state import read_config


class StopError(Exception):
    """Simulated end of a process."""


def fail(*_: Any, **__: Any) -> None:
    raise StopError


def full_disk(path: Path, *_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize(
    ("moment", "how", "resume"),
    [
        ("save_snapshot", fail, True),
        ("save_checkpoint", full_disk, False),
        ("mark_saved", fail, False),
        pytest.param("save_snapshot", fail, False, marks=pytest.mark.slow),
        pytest.param("save_checkpoint", fail, False, marks=pytest.mark.slow),
        pytest.param("save_checkpoint", fail, True, marks=pytest.mark.slow),
        pytest.param("save_checkpoint", full_disk, True, marks=pytest.mark.slow),
        pytest.param("mark_saved", fail, True, marks=pytest.mark.slow),
    ],
)
def test_begun_anew_after_validation_sample_board_or_a_full_disk(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, how: Any, resume: bool
) -> None:
    config = tiny_config(epochs=2, checkpoint_every=7, validate_every=2, sample_every=2, tensorboard=True)
    module = state if moment == "save_snapshot" else observers
    works = getattr(module, moment)
    monkeypatch.setattr(module, moment, how)
    with pytest.raises((StopError, OSError)):
        train(config, tmp_path / "run", quiet=True)
    monkeypatch.setattr(module, moment, works)
    saved = (tmp_path / "run" / "state.safetensors").exists()
    assert saved == (moment == "mark_saved")
    if saved and not resume:
        with pytest.raises(RunError, match="resume that run"):
            train(config, tmp_path / "run", quiet=True)
        return
    train(config, tmp_path / "run", resume=resume, quiet=True)
    train(config, tmp_path / "whole", quiet=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert not (tmp_path / "run" / UNSAVED_NAME).exists()


def test_a_start_with_other_settings_may_follow_a_failed_one(
    tiny_config: MakeConfig, tmp_path: Path, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    at_step(3, fail)
    with pytest.raises(StopError):
        train(tiny_config(log_every=1, tensorboard=True), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    train(tiny_config(epochs=1, seed=1), tmp_path / "run", quiet=True)


@pytest.mark.parametrize("name", ["notes.txt", "samples/mine.png", "tensorboard/mine", "snapshots/mine.safetensors"])
def test_what_is_not_the_trainers_stays(
    tiny_config: MakeConfig, tmp_path: Path, at_step: Callable[[int, Callable[[], None]], None], name: str
) -> None:
    at_step(3, fail)
    with pytest.raises(StopError):
        train(tiny_config(log_every=1, tensorboard=True), tmp_path / "run", quiet=True)
    (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / name).touch()
    with pytest.raises(RunError, match=name.split("/")[0]):
        train(tiny_config(), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / name).exists()


def test_a_run_without_its_state_is_no_failed_start(tiny_config: MakeConfig, tmp_path: Path) -> None:
    """Somebody may have removed the large file to share the run."""
    train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "state.safetensors").unlink()
    with pytest.raises(RunError, match="already contains"):
        train(tiny_config(epochs=1), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "snapshots" / "last.safetensors").exists()


def test_training_pictures_among_the_samples_are_an_error(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    train(config, tmp_path / "run", quiet=True)
    for side in "ab":
        folder = tmp_path / "data" / "train" / side
        write_image(folder / "9.png", Picture(np.zeros((20, 20, 3), np.uint8)))
    picture = tmp_path / "data" / "train" / "a" / "9.png"
    picture.unlink()
    picture.symlink_to(tmp_path / "run" / "samples" / "00000008.png")
    with pytest.raises(InputError, match=r"00000008\.png would be overwritten"):
        train(replace(config, training=replace(config.training, epochs=2)), tmp_path / "run", resume=True, quiet=True)


@pytest.fixture
def relative(tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """Return a config whose data and initial weights are relative to the working directory."""
    start = tiny_config(epochs=1)
    train(start, tmp_path / "start", quiet=True)
    monkeypatch.chdir(tmp_path)
    return replace(
        start, data=replace(start.data, folder=Path("data")), training=replace(start.training, start_from=Path("start"))
    )


@pytest.mark.parametrize("start", [train, ganvas.train])
def test_relative_paths_are_recorded_absolute_so_that_a_run_resumes_anywhere(
    relative: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., object]
) -> None:
    start(relative, Path("run"))
    recorded = read_config(tmp_path / "run")
    assert (recorded.data.folder, recorded.training.start_from) == (tmp_path / "data", tmp_path / "start")
    train(relative, Path("run"), resume=True, quiet=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ganvas.resume(tmp_path / "run", epochs=2).images_seen == 14
    assert len(ganvas.evaluate(tmp_path / "run", split="val", device="cpu").pictures) == 3


def test_the_split_file_is_recorded_absolute(
    relative: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = json.dumps({"train": list("0123456"), "val": []})
    (tmp_path / "splits.json").write_text(names)
    data = replace(relative.data, folder=Path("data", "train"), split_file=Path("splits.json"))
    train(replace(relative, data=data), Path("run"), quiet=True)
    monkeypatch.chdir(tmp_path.parent)
    assert ganvas.resume(tmp_path / "run", epochs=2).images_seen == 14


def test_data_that_were_moved_are_named_with_the_flag_and_then_used(
    relative: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "splits.json").write_text(json.dumps({"train": list("0123456"), "val": []}))
    data = replace(relative.data, folder=Path("data", "train"), split_file=Path("splits.json"))
    train(replace(relative, data=data), Path("run"), quiet=True)
    monkeypatch.chdir(tmp_path.parent)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    with pytest.raises(DataError, match=r"train: no such file or folder; if it was moved: .* --data DIR"):
        ganvas.resume(moved / "run", epochs=2)
    with pytest.raises(DataError, match=r"splits.json: no such file or folder; .* --split-file FILE"):
        ganvas.resume(moved / "run", epochs=2, data=moved / "data" / "train")
    given = {"data": moved / "data" / "train", "split_file": moved / "splits.json"}
    assert ganvas.resume(moved / "run", epochs=2, **given).images_seen == 14


def test_a_split_file_for_a_run_without_one_is_an_error(relative: RunConfig, tmp_path: Path) -> None:
    train(relative, tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match="trained without a split file"):
        ganvas.resume(tmp_path / "run", split_file=tmp_path / "splits.json")


def test_a_record_with_relative_paths_resumes_in_its_own_working_directory(relative: RunConfig, tmp_path: Path) -> None:
    train(relative, tmp_path / "run", quiet=True)
    record = read_run_record(tmp_path / "run")
    write_run_record(tmp_path / "run", replace(record, data=relative.data, training=to_record(relative.training)))
    assert read_config(tmp_path / "run") == relative
    longer = replace(relative, training=replace(relative.training, epochs=2))
    assert train(longer, tmp_path / "run", resume=True, quiet=True).images_seen == 14
    assert read_config(tmp_path / "run") == longer.with_absolute_paths()
