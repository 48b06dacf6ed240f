"""Metrics log, and TensorBoard events of a resumed run."""

from __future__ import annotations

import io
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.training import report
from ganvas.training.health import PATIENCE, VALIDATIONS, Health
from ganvas.training.monitoring import Metrics
from ganvas.training.report import Report


def events_of(run: Path) -> Any:
    """Return the events of a run's TensorBoard folder."""
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of its own imports
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


def said(health: Health, fake: float, rows: int) -> list[str]:
    losses = {"discriminator/fake": fake, "discriminator/real": 0.001, "generator/l1": 0.0}
    return [text for _ in range(rows) for text in health.losses(losses)]


def test_a_discriminator_that_has_won_is_told_once() -> None:
    warnings = said(Health(), 0.01, 3 * PATIENCE)
    assert len(warnings) == 1
    assert "The discriminator has been separating real from generated pictures almost without error" in warnings[0]


def test_a_short_win_a_draw_and_a_wasserstein_critic_are_nothing_to_tell() -> None:
    health = Health()
    assert said(health, 0.01, PATIENCE - 1) + said(health, 0.5, 1) + said(health, 0.01, PATIENCE - 1) == []
    assert said(Health(), -4.0, 3 * PATIENCE) == []


def test_outputs_all_alike_are_told_when_it_stays() -> None:
    health = Health()
    warnings = [health.validation({"psnr": 9.0, "spread": 0.01}) for _ in range(VALIDATIONS + 3)]
    assert [len(text) for text in warnings] == [0] * (VALIDATIONS - 1) + [1, 0, 0, 0]
    assert all(Health().validation({"psnr": 9.0, "spread": spread}) == [] for spread in (0.5, 1.0, 2.0))
    assert Health().validation({"psnr": 9.0}) == []


def shown(*, terminal: bool, quiet: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, quiet=quiet)
    with Report(100, 50, quiet=quiet, console=console) as told:
        told.losses({"generator/l1": 12.345})
        told.show(75, rate=3.5, seconds_left=90.0)
        told.say("[a line] of its own")
    return file.getvalue()


def test_a_terminal_sees_a_bar() -> None:
    text = shown(terminal=True)
    assert "75 of 100 images  epoch 1.50  3.5 images/s  90 s left" in text
    assert "generator/l1 12.3" in text
    assert "[a line] of its own" in text


def test_a_fast_rate_is_written_out() -> None:
    file = io.StringIO()
    with Report(10_000, 50, console=Console(file=file, force_terminal=True, width=80)) as told:
        told.show(75, rate=1234.5, seconds_left=90.0)
    assert "  1,234 images/s" in file.getvalue()


def test_a_narrow_terminal_sees_every_loss() -> None:
    file = io.StringIO()
    with Report(100, 50, console=Console(file=file, force_terminal=True, width=60)) as told:
        told.losses({f"player/loss_{index}": 1.25 for index in range(6)})
        told.show(75, rate=3.5, seconds_left=90.0)
    assert all(f"player/loss_{index} 1.25" in file.getvalue() for index in range(6))


def test_a_log_file_sees_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=False) == "[a line] of its own\n"
    monkeypatch.setattr(report, "PLAIN_EVERY", -1.0)
    assert shown(terminal=False).startswith("75 of 100 images  epoch 1.50")


def test_quiet_is_quiet() -> None:
    assert shown(terminal=True, quiet=True) == ""
