"""Benchmark of horses and zebras: statistics, runs, and resumption."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from ganvas.evaluation import comparison_measures as measures
from ganvas.metrics.distribution import FeatureSpace
from ganvas.metrics.features import FeatureExtractor

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class ColorMeans(torch.nn.Module):
    """(N, 3, H, W) -> (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


class Brightness:
    """Classifier that sees a zebra in bright pictures and a sorrel in dark ones."""

    class_names = ("zebra", "sorrel", "ox")

    def evidence(self, rgb: np.ndarray[Any, Any]) -> SimpleNamespace:
        bright = float(rgb.mean()) / 255
        return SimpleNamespace(scores=np.array([bright, 1 - bright, 0], np.float32))


@pytest.fixture
def unpaired(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import unpaired as module

    space = FeatureSpace(name="colors", dimension=3, protocol="as they are")
    extractor = FeatureExtractor(space=space, network=ColorMeans(), pool=lambda means: means, prepare=np.float32)
    monkeypatch.setattr(measures, "efficientnet_features", lambda: extractor)
    monkeypatch.setattr(module, "load_classifier", lambda _: Brightness())
    module.open_bench.cache_clear()
    return module


@pytest.fixture
def horses(tmp_path: Path, rng: np.random.Generator) -> Path:
    for name, floor in (("trainA", 0), ("trainB", 128), ("testA", 0), ("testB", 128)):
        (tmp_path / "horses" / name).mkdir(parents=True)
        for index in range(3):
            picture = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8) + np.uint8(floor)
            Image.fromarray(picture).save(tmp_path / "horses" / name / f"{index}.png")
    return tmp_path / "horses"


@pytest.mark.parametrize(("count", "of"), [(0, 120), (32, 120), (140, 140)])
def test_wilsons_interval(unpaired: ModuleType, count: int, of: int) -> None:
    ours, theirs = unpaired.wilson(count, of), binomtest(count, of).proportion_ci(method="wilson")
    assert (ours.share, ours.low, ours.high) == pytest.approx((count / of, theirs.low, theirs.high), abs=1e-6)


@pytest.mark.slow
def test_the_ablation_from_end_to_end(
    unpaired: ModuleType, horses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = ["ablation", "--data", str(horses), "--out", str(tmp_path / "out"), "--epochs", "0.4", "--width", "4"]
    monkeypatch.setattr(sys, "argv", ["unpaired.py", *words, "--size", "32", "--precision", "float32"])
    unpaired.main()
    record = json.loads((tmp_path / "out" / "unpaired.json").read_text(encoding="utf-8"))
    group = record["sizes"]["32x32"]
    assert list(group["runs"]) == list(unpaired.ABLATION)
    assert group["references"]["a_to_b"]["before"]["zebra"]["top1"]["share"] == 0
    assert group["references"]["a_to_b"]["real"]["zebra"]["top1"]["share"] == 1
    assert group["runs"]["forward cycle"]["ways"]["b_to_a"]["there_and_back_psnr"]["count"] == 3
    settings = [json.loads((run / "run.json").read_text())["method"] for run in (tmp_path / "out" / "runs").iterdir()]
    assert {(one["cycle"], one["cycle_weight"]) for one in settings} == {
        ("both", 10.0), ("both", 0.0), ("forward", 10.0), ("backward", 10.0),
    }  # fmt: skip
    assert (tmp_path / "out" / "grid.png").is_file()
    states = {path: path.read_bytes() for path in (tmp_path / "out").rglob("state.safetensors")}
    unpaired.main()
    assert {path: path.read_bytes() for path in states} == states
    assert "horse to zebra, 32x32" in capsys.readouterr().out


def test_runs_have_names(unpaired: ModuleType) -> None:
    assert unpaired.named_run("cut=runs/cut") == ("cut", Path("runs/cut"))
    with pytest.raises(argparse.ArgumentTypeError, match="give NAME=RUN"):
        unpaired.named_run("runs/cut")
