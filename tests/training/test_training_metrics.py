"""Rows of figures, and what TensorBoard shows of a run that went on."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from ganvas.training.metrics import Metrics


@pytest.mark.parametrize(("checkpoint", "shown"), [(10, [10, 20, 30]), (0, [20, 30])])
def test_tensorboard_hides_what_lies_after_the_checkpoint_alone(
    tmp_path: Path, checkpoint: int, shown: list[int]
) -> None:
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, rows in ((0, (10, 20)), (checkpoint, (20, 30))):
        with Metrics(tmp_path, tensorboard=True, images_seen=start) as metrics:
            for images in rows:
                metrics.write("training", images, {"l1": 0.5})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("training/l1")] == shown
