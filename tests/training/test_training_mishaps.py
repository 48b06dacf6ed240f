"""Training on splits that are entirely grayscale, and failures of a validation or a preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training_runs import MakeConfig, assert_same_run, tiny_cyclegan, tiny_run

from ganvas.errors import DataError
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.runs.record import read_run_record
from ganvas.training import observers
from ganvas.training.loop import train


def make_gray(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").save(path)


@pytest.mark.parametrize("gray", ["val", "val/b", "train"])
def test_a_run_with_a_gray_split_trains_and_resumes(tiny_data: Path, tmp_path: Path, gray: str) -> None:
    make_gray(tiny_data / gray)
    config = tiny_run(tiny_data, epochs=2, validate_every=4, sample_every=4, checkpoint_every=4)
    train(config, tmp_path / "run", quiet=True)
    record = read_run_record(tmp_path / "run")
    assert (record.input.channels, record.output.channels) == (3, 3)
    longer = tiny_run(tiny_data, epochs=3, validate_every=4, sample_every=4, checkpoint_every=4)
    assert train(longer, tmp_path / "run", resume=True, quiet=True).images_seen >= 21
    evaluation = evaluate_run(EvaluateConfig(tmp_path / "run", split="val", device="cpu"), progress=False)
    assert len(evaluation.pictures) == 3


@pytest.mark.parametrize(("identity_weight", "channels"), [(0.5, (3, 3)), (0.0, (1, 3))])
def test_a_gray_side_is_repeated_where_the_method_needs_it(
    tiny_sides: Path, tmp_path: Path, identity_weight: float, channels: tuple[int, int]
) -> None:
    for split in ("trainA", "valA"):
        make_gray(tiny_sides / split)
    train(
        tiny_cyclegan(tiny_sides, method={"identity_weight": identity_weight}, epochs=1), tmp_path / "run", quiet=True
    )
    record = read_run_record(tmp_path / "run")
    assert (record.input.channels, record.output.channels) == channels


def test_a_side_that_differs_is_an_error_before_training(tiny_data: Path, tmp_path: Path) -> None:
    for path in (tiny_data / "val" / "a").iterdir():
        Image.fromarray(np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 257).save(path)
    with pytest.raises(DataError, match="the splits of side a differ"):
        train(tiny_run(tiny_data, epochs=1), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "run.json").exists()


class BrokenError(Exception):
    """Any failure outside the training itself."""


@pytest.mark.parametrize("failing", ["validate", "write_preview"])
@pytest.mark.parametrize("epochs", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_checkpoint_is_written_before_the_first_thing_that_may_fail(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, epochs: int
) -> None:
    """At the end of the run (2 epochs) or within it; the resumed run equals one without a failure."""
    config = tiny_config(epochs=epochs, validate_every=14, sample_every=14, checkpoint_every=10_000)
    train(config, tmp_path / "whole", quiet=True)

    def fail(*_: Any) -> None:
        raise BrokenError

    with monkeypatch.context() as patch:
        patch.setattr(observers, failing, fail)
        with pytest.raises(BrokenError):
            train(config, tmp_path / "run", quiet=True)
    train(config, tmp_path / "run", resume=True, quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    train(config, tmp_path / "run", resume=True, quiet=True)  # nothing is left to do
    assert_same_run(tmp_path / "whole", tmp_path / "run")
