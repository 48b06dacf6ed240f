"""Training on films with one frame and with a window of three, and translation with the trained runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from film_maker import make_film
from PIL import Image

from ganvas.data.config import PairedData, UnpairedData
from ganvas.errors import ConfigError
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.image.picture import Picture
from ganvas.inference import film as film_module
from ganvas.inference.folder import translate_files
from ganvas.inference.translator import Translator
from ganvas.methods import CycleGANConfig, Pix2PixConfig, SRResNetConfig
from ganvas.methods.config import MOST_FRAMES
from ganvas.runs.record import read_run_record, read_snapshot
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from ganvas.video import read_video, write_video

pytest.importorskip("av")


def write_film(path: Path, count: int = 6, seed: int = 0) -> Path:
    """Write a lossless film of one scene, a pattern that moves by one pixel per frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (8, 18, 3)).astype(np.uint8)
    wide = np.asarray(Image.fromarray(small).resize((72, 32), Image.Resampling.BICUBIC))
    write_video(path, [Picture(np.ascontiguousarray(wide[:, n : n + 32])) for n in range(count)], rate=8)
    return path


def config(data: Path, method: Any, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"degrade": "mosaic", "strength": (4, 4)} | changes
    return RunConfig(
        method=method,
        data=PairedData(folder=data, layout="single", resize="none", crop_size=(16, 16), frame_step=1, **settings),
        training=TrainingConfig(epochs=2, batch_size=2, device="cpu", validate_every=4, sample_every=4, log_every=2),
    )


def restorer(frames: int) -> Pix2PixConfig:
    return Pix2PixConfig(
        width=4, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0, residual=True, frames=frames
    )


@pytest.fixture(params=["pix2pix", "srresnet"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Train a run on windows of three frames, with another film for validation."""
    for split, seed in (("train", 0), ("val", 1)):
        write_film(tmp_path / "data" / split / "film.mkv", seed=seed)
    method, changes = restorer(3), dict[str, Any]()
    if request.param == "srresnet":
        method = SRResNetConfig(width=4, num_blocks=1, scale=2, frames=3)  # type: ignore[assignment]
        changes = {"degrade": "reduce", "strength": (2, 2)}
    train(config(tmp_path / "data", method, **changes), tmp_path / "run", quiet=True)
    return tmp_path / "run"


def signed(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.pixels.transpose(2, 0, 1)).float() / 127.5 - 1


def levels(made: torch.Tensor) -> np.ndarray[Any, Any]:
    return ((made.numpy().transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)


def test_a_window_of_three_is_recorded_and_repeats_pictures(run: Path) -> None:
    assert read_run_record(run).method.frames == 3
    assert read_run_record(run).input.channels == 3
    translator = Translator.load(run, device="cpu")
    (frame, *_) = read_video(run.parent / "data" / "train" / "film.mkv")
    with torch.inference_mode():
        expected = translator.method.translate(torch.cat([signed(frame.picture)] * 3)[None])[0]
    made = translator(frame.picture).pixels
    assert np.abs(made.astype(int) - levels(expected)).max() <= 1


@pytest.mark.slow
def test_a_film_is_translated_with_neighbors_whatever_its_segments(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_frames = {"g": "5"}
    source = make_film(tmp_path / "new.mkv", frames=30, codec="ffv1", pixel_format="bgr0", options=key_frames)
    translator = Translator.load(run, device="cpu")
    pictures = [frame.picture for frame in read_video(source)]
    made = [frame.picture.pixels for frame in translator.translate_frames(read_video(source))]
    for index in range(30):
        near = [pictures[min(max(index + offset, 0), 29)] for offset in (-1, 0, 1)]
        with torch.inference_mode():
            expected = translator.method.translate(torch.cat([signed(one) for one in near])[None])[0]
        assert np.abs(made[index].astype(int) - levels(expected)).max() <= 1
    monkeypatch.setattr(film_module, "SECONDS", 0.25)
    assert len(film_module.plan_segments(source, seconds=0.25)) > 2
    translate_files(run, source, tmp_path / "made.mkv", device="cpu", progress=False)
    written = [frame.picture.pixels for frame in read_video(tmp_path / "made.mkv")]
    for own, other in zip(made, written, strict=True):
        np.testing.assert_array_equal(own, other)


def test_evaluation_gives_the_neighbors(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = Translator._network

    def network(self: Translator, images: np.ndarray[Any, Any]) -> Any:
        seen.append(len({images[start : start + 3].tobytes() for start in (0, 3, 6)}))
        return whole(self, images)

    monkeypatch.setattr(Translator, "_network", network)
    evaluate_run(EvaluateConfig(run=run, device="cpu"), progress=False)
    assert seen == [2, 3, 3, 3, 3, 2], "different pictures in the windows of six frames"


def test_one_frame_trains_on_a_film_given_by_name(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv")
    with pytest.warns(UserWarning, match="too few or too similar"):
        train(config(path, restorer(1)), tmp_path / "run", quiet=True)
    assert read_snapshot(tmp_path / "run" / "snapshots" / "last.safetensors")[1] == 12


@pytest.mark.parametrize("frames", [0, 2, -3, MOST_FRAMES + 2])
def test_windows_have_a_middle(frames: int) -> None:
    for method in (Pix2PixConfig, SRResNetConfig):
        with pytest.raises(ConfigError, match="odd number"):
            method(frames=frames)


def test_windows_need_pictures_that_are_degraded_here(tmp_path: Path) -> None:
    for data in (
        PairedData(folder=tmp_path),
        PairedData(folder=tmp_path, layout="single", degrade="mosaic", direction="b_to_a"),
    ):
        with pytest.raises(ConfigError, match="frames 3"):
            RunConfig(method=restorer(3), data=data)
    RunConfig(method=CycleGANConfig(), data=UnpairedData(folder=tmp_path, frame_step=3))
    with pytest.raises(ConfigError, match="frame_step"):
        PairedData(folder=tmp_path, frame_step=0)
