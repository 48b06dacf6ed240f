"""Run folder of an earlier version: it still loads, translates to the same pixels and resumes to the same weights.

`earlier_run/` was written by commit ef28338: a pix2pix of width 4 on four pairs of 16 x 16 random pixels, after 8
images (`run`), its translations of the validation pictures with seed 3, and its state and generators after 16 images
(`expected`). The tolerance of weights is 1 % of their change after resuming: vector instructions round differently.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ganvas
from ganvas.image.files import read_label
from ganvas.runs.folder import read_checkpoint
from ganvas.runs.record import read_run_record
from ganvas.training.state import read_config

EARLIER = Path(__file__).parent / "earlier_run"
EXPECTED = EARLIER / "expected"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a copy of the run that a test may change."""
    return Path(shutil.copytree(EARLIER / "run", tmp_path / "run"))


def test_its_record_and_checkpoint_are_read(run: Path) -> None:
    record, checkpoint = read_run_record(run), read_checkpoint(run / "state.safetensors")
    assert (record.version, record.image_size, record.method.width) == (1, (16, 16), 4)
    assert (checkpoint.counters.images_seen, checkpoint.counters.step, checkpoint.is_complete) == (8, 4, True)
    assert read_config(run).training.ema_half_life == 4.0


def test_it_translates_to_the_same_pixels(run: Path, tmp_path: Path) -> None:
    ganvas.translate(run, EARLIER / "data" / "val" / "a", tmp_path / "out", seed=3, device="cpu", threads=1)
    for name in ("0.png", "1.png"):
        written, before = tmp_path / "out" / name, EXPECTED / name
        assert ganvas.read_image(written).pixels.tobytes() == ganvas.read_image(before).pixels.tobytes()
        assert read_label(written) == read_label(before)


@pytest.mark.parametrize(
    ("written", "before"),
    [("state.safetensors", "state.safetensors"), ("snapshots/last.safetensors", "last.safetensors")],
)
def test_it_resumes_to_the_same_weights(run: Path, written: str, before: str) -> None:
    start = load_file(run / written)
    ganvas.resume(run, epochs=4, data=EARLIER / "data", device="cpu", threads=1)
    after, expected = load_file(run / written), load_file(EXPECTED / before)
    assert after.keys() == expected.keys()
    moved = [name for name in expected if not torch.equal(start[name], expected[name])]
    assert len(moved) > len(expected) / 2
    for name in moved:
        change = (expected[name] - start[name]).float()
        error = (after[name] - expected[name]).float()
        assert error.norm() <= 0.01 * change.norm() + 1e-6, name
