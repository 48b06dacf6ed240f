"""Small runs for the tests of inference and evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganvas.image.picture import PictureSpec
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import Method, build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

EXACT = Pix2PixConfig(width=4, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0)
NOISY = Pix2PixConfig(width=4, depth=2, norm="batch", dropout=0.5, adversarial_weight=0.0)
FLOAT = PictureSpec(dtype="float32", value_range=(0.0, 1.0))
FIVE_DEEP = PictureSpec(dtype="uint16", channels=5, value_range=(0.0, 65535.0))


def tiny_record(config: Any = EXACT, **changes: Any) -> RunRecord:
    record = RunRecord(method=config, input=PictureSpec(), output=PictureSpec(), image_size=(32, 32))
    return replace(record, **changes)


def tiny_method(record: RunRecord, *, gain: float = 4.0) -> Method:
    """Return a method with weights large enough that its outputs vary visibly over the picture."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = build(
            record.method,
            input_channels=record.input.channels,
            output_channels=record.output.channels,
            image_size=record.image_size,
        )
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.mul_(gain)
    return method.eval()


def write_tiny_run(folder: Path, config: Any = EXACT, **changes: Any) -> Path:
    record = tiny_record(config, **changes)
    write_run_record(folder, record)
    save_snapshot(snapshot_path(folder, "last"), tiny_method(record), images_seen=12)
    return folder
