"""Benchmark of real-world restoration: degradations, runs, and resumption."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.data.config import PairedData
from ganvas.errors import PolicyRefusal
from ganvas.image.picture import Picture
from ganvas.methods import RealESRGANConfig, SRGANConfig, SRResNetConfig
from ganvas.recipes import restore
from ganvas.training.config import RunConfig
from ganvas.training.report import TrainingResult

Rgb = NDArray[np.uint8]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("real_restoration")


@pytest.fixture
def budget(real: ModuleType) -> ModuleType:
    return importlib.import_module("measure.budget")


def photograph(height: int = 64, width: int = 80, *, seed: int = 0) -> Rgb:
    small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)[0]
    return np.ascontiguousarray((large.permute(1, 2, 0).numpy() * 255).astype(np.uint8))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(24):
        path = tmp_path / "data" / "flowers" / f"image_{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(seed=number)).save(path)
    for folder in ("bsds500/train", "bsds500/test", "sr/BSD100"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.fromarray(photograph(seed=99)).save(tmp_path / "data" / folder / f"{folder.replace('/', '-')}.png")
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["held", "resaved"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_degradations_shrink_and_repeat(real: ModuleType, name: str, factor: int) -> None:
    picture, degrade = photograph(), real.DEGRADATIONS[name]
    made = [degrade(picture, factor, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert made[0].shape == (64 // factor, 80 // factor, 3)
    assert made[0].dtype == np.uint8
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all() == (name == "resaved")  # `resaved` is deterministic


def test_resaved_pictures_went_ten_times_through_pillow(real: ModuleType) -> None:
    expected = Image.fromarray(photograph())
    for _ in range(10):
        file = BytesIO()
        expected.save(file, "JPEG", quality=30)
        expected = Image.open(file)
    np.testing.assert_array_equal(real.resaved(photograph(), 1, np.random.default_rng(0)), np.asarray(expected))


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.7])
def test_a_defocus_kernel_is_a_disk(real: ModuleType, radius: float) -> None:
    kernel = real.disk(radius)
    places = np.arange(len(kernel)) - len(kernel) // 2
    distance = np.hypot(places[:, None], places)
    assert kernel.sum() == pytest.approx(1)
    assert kernel[distance > radius + 0.71].sum() == 0
    inside = kernel[distance < radius - 0.71]
    assert len(inside) == 0 or np.ptp(inside) < 1e-12


def chosen(real: ModuleType, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["real_restoration.py", "--data", str(data), "--out", str(out), *words])
    return real.arguments()


def test_all_ways_have_one_generator_and_one_budget(
    real: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = chosen(real, data, tmp_path / "out", monkeypatch, "--ways", *real.WAYS)
    runs = {way: real.configs(real.Job(way, given)) for way in given.ways}
    generators = set()
    for way, stages in runs.items():
        for stage, config in stages.items():
            method = config.method
            generators.add((method.generator, method.width, method.num_blocks, method.scale, method.residual))
            assert isinstance(method, SRResNetConfig)
            assert isinstance(config.data, PairedData)
            assert config.data.degrade == real.WAYS[way]
            assert (config.training.start_from is None) == (stage == "l1")
    assert len(generators) == 1
    assert isinstance(runs["srgan"]["gan"].method, SRGANConfig)
    assert isinstance(runs["real_restoration"]["gan"].method, RealESRGANConfig)
    asked = []
    monkeypatch.setattr(real, "train_for", lambda config, run, minutes: asked.append((run.name, minutes)))
    real.train_way(real.Job("srgan", replace_minutes(given, 40)))
    assert asked == [("srgan-l1", 20), ("srgan-gan", 20)]
    same_size = chosen(real, data, tmp_path / "out", monkeypatch, "--scale", "1")
    assert same_size.ways == ["real_restoration"]


def replace_minutes(given: Any, minutes: float) -> Any:
    given.minutes = minutes
    return given


def test_no_picture_is_trained_on_and_measured(real: ModuleType, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    real.gather(data, out)
    real.gather(data, out)  # a second call changes nothing
    trained = {path.resolve() for path in (out / "pictures" / "train").iterdir()}
    assert len(trained) == 20 + 2
    held = list(real.held_out(data, out, 4, 10))
    assert [name for name, _, _ in held] == ["BSD100"] + ["flowers"] * 3
    assert not {stem for _, stem, _ in held} & {path.stem for path in trained}
    assert all(side % 4 == 0 for _, _, picture in held for side in picture.shape[:2])


@pytest.mark.slow
def test_the_benchmark_from_end_to_end(
    real: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def quick(job: Any) -> dict[str, RunConfig]:
        found = configs(job)
        method = replace(found["gan"].method, **extra[job.way])
        return found | {"gan": replace(found["gan"], method=method)}

    configs = real.configs
    extra = {"srgan": {"content": "pixels", "content_weight": 1.0}, "real_restoration": {"perceptual": "none"}}
    monkeypatch.setattr(real, "configs", quick)
    monkeypatch.setattr(real, "in_processes", lambda work, jobs, count: [work(job) for job in jobs])
    monkeypatch.setattr(real, "load_lpips", lambda name: lambda made, truth: (made - truth).abs().mean())
    words = ["--minutes", "0.05", "--width", "4", "--num-blocks", "1", "--discriminator-width", "4", "--crop", "32",
             "--batch", "2", "--precision", "float32"]  # fmt: skip
    chosen(real, data, tmp_path / "out", monkeypatch, *words)
    real.main()
    record = json.loads((tmp_path / "out" / "real_restoration.json").read_text(encoding="utf-8"))
    assert {row["way"] for row in record["rows"]} == {"bicubic", "srgan", "real_restoration_l1", "real_restoration"}
    assert len(record["rows"]) == 2 * 4 * 4
    assert record["training"]["srgan"]["gan"]["images"] > 0
    assert (tmp_path / "out" / "held.png").is_file()
    states = {path: path.read_bytes() for path in (tmp_path / "out").rglob("state.safetensors")}
    assert len(states) == 4
    real.main()
    assert {path: path.read_bytes() for path in states} == states
    assert "### BSD100, held, 1 pictures" in capsys.readouterr().out


def test_a_refused_picture_is_left_out_for_every_method(
    real: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing:
        def translate_picture(self, picture: Picture, *, name: str) -> Any:
            if name == "sr-BSD100":
                raise PolicyRefusal(name, "Open NSFW scores it 0.900, above 0.8", 0.9)
            height, width = picture.pixels.shape[:2]
            return SimpleNamespace(picture=Picture(real.enlarged(picture.pixels, (4 * height, 4 * width), 3)))

    given = chosen(real, data, tmp_path / "out", monkeypatch)
    given.out.mkdir()
    real.gather(given.data, given.out)
    monkeypatch.setattr(real, "load_lpips", lambda name: lambda ours, theirs: torch.zeros(()))
    monkeypatch.setattr(real.Translator, "load", lambda *given, **named: Refusing())
    rows = real.measure(given)
    assert rows
    assert {row["set"] for row in rows} == {"flowers"}
    assert "held: sr-BSD100 is left out: sr-BSD100: refused: Open NSFW" in capsys.readouterr().out


def test_the_schedule_ends_with_the_minutes(
    budget: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(config: RunConfig, run: Path, **_: Any) -> TrainingResult:
        assert config.training.threads == 1
        return TrainingResult(run=run, images_seen=30, seconds=3.0, images_per_second=10.0, stopped="minutes")

    monkeypatch.setattr(budget, "train", train)
    monkeypatch.setattr(budget, "build_cache", lambda *given: range(50))
    config = budget.scheduled(restore(), tmp_path / "run", 2.0)
    assert config.training.epochs == pytest.approx(10 * 120 / 50)
    assert config.training.minutes == pytest.approx(2.2)
    monkeypatch.setattr(budget, "train", lambda *given, **named: replace(train(*given, **named), stopped="interrupted"))
    with pytest.raises(SystemExit):
        budget.scheduled(restore(), tmp_path / "run", 2.0)
