"""Rows of figures, and what TensorBoard shows of a run that went on."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.training.metrics import Metrics


def events_of(run: Path) -> Any:
    """The events of a run's TensorBoard folder."""
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    return EventAccumulator(str(run / "tensorboard")).Reload()


@pytest.mark.parametrize(("checkpoint", "shown"), [(10, [10, 20, 30]), (0, [20, 30])])
def test_tensorboard_hides_what_lies_after_the_checkpoint_alone(
    tmp_path: Path, checkpoint: int, shown: list[int]
) -> None:
    pytest.importorskip("tensorboard")
    for start, rows in ((0, (10, 20)), (checkpoint, (20, 30))):
        with Metrics(tmp_path, tensorboard=True, images_seen=start) as metrics:
            for images in rows:
                metrics.write("training", images, {"l1": 0.5})
    assert [event.step for event in events_of(tmp_path).Scalars("training/l1")] == shown


def test_tensorboard_shows_the_learning_rate_and_the_samples(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    write_image(tmp_path / "samples" / "00000020.png", Picture(pixels))
    with Metrics(tmp_path, tensorboard=True, images_seen=0) as metrics:
        metrics.write("training", 20, {"l1": 0.5}, learning_rate=2e-4, seconds=3.0)
        metrics.preview(20, tmp_path / "samples" / "00000020.png")
    events = events_of(tmp_path)
    assert sorted(events.Tags()["scalars"]) == ["training/l1", "training/learning_rate"]
    assert events.Scalars("training/learning_rate")[0].value == pytest.approx(2e-4)
    (image,) = events.Images("samples")
    assert image.step == 20
    assert np.array_equal(np.asarray(Image.open(BytesIO(image.encoded_image_string))), pixels)


def test_without_tensorboard_a_preview_costs_nothing(tmp_path: Path) -> None:
    with Metrics(tmp_path, tensorboard=False, images_seen=0) as metrics:
        metrics.preview(20, tmp_path / "there is none.png")
    assert not (tmp_path / "tensorboard").exists()
