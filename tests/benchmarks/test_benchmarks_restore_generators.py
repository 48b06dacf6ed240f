"""Benchmark of generators for `restore`: the same pictures and budget for all, and its figures."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.data.config import PairedData
from ganvas.data.degradations import mosaic
from ganvas.methods.base import build
from ganvas.recipes import restore


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("restore_generators")


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    folder = tmp_path / "flowers"
    folder.mkdir()
    for number in range(24):
        small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(number))
        large = torch.nn.functional.interpolate(small, (50, 60), mode="bicubic").clamp(0, 1)[0]
        pixels = (large.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"image_{number:04d}.jpg")
    return folder


def chosen(generators: ModuleType, flowers: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    out = flowers.parent / "out"
    out.mkdir(exist_ok=True)
    monkeypatch.setattr(sys, "argv", ["restore_generators.py", "--data", str(flowers), "--out", str(out), *words])
    return generators.arguments()


def test_all_candidates_learn_from_the_same_pictures_and_can_be_built(
    generators: ModuleType, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = chosen(generators, flowers, monkeypatch)
    runs = generators.candidates(given)
    assert set(runs) == set(given.candidates)
    assert runs["half_size"].method == restore().method
    for name, config in runs.items():
        assert isinstance(config.data, PairedData)
        assert (config.data.folder, config.data.strength) == (flowers, (8.0, 8.0))
        assert config.data.split_file == runs["unet"].data.split_file
        assert config.data.degrade == ("means" if name == "compact" else "mosaic")
        with torch.device("meta"):
            build(config.method, input_channels=3, output_channels=3, image_size=config.data.crop_size)


def test_the_means_of_a_mosaic_are_those_of_its_blocks(generators: ModuleType) -> None:
    images = torch.rand(1, 3, 20, 27) * 2 - 1
    covered = mosaic(images, 8)
    means = generators.means_of(covered)
    assert means.shape == (1, 3, 3, 4)
    torch.testing.assert_close(means, covered[..., ::8, ::8])


@pytest.mark.slow
def test_the_benchmark_from_end_to_end(
    generators: ModuleType, flowers: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(generators, "in_processes", lambda work, jobs, count: [work(job) for job in jobs])
    monkeypatch.setattr(generators, "load_lpips", lambda name: lambda made, truth: (made - truth).abs().mean())
    words = ["--minutes", "0.03", "0.05", "--candidates", "unet", "compact", "--precision", "float32"]
    given = chosen(generators, flowers, monkeypatch, *words)
    candidates = generators.candidates

    def small(given: Any) -> dict[str, Any]:
        found = candidates(given)
        for name, config in found.items():
            data = replace(config.data, load_size=(128, 128))
            found[name] = replace(config, method=replace(config.method, width=4), data=data)
        return dict(found)

    monkeypatch.setattr(generators, "candidates", small)
    generators.main()
    record = json.loads((given.out / "restore_generators.json").read_text(encoding="utf-8"))
    assert {"0.03 minutes", "0.05 minutes"} < set(record)
    assert {name: len(rows) for name, rows in record["0.05 minutes"]["rows"].items()} == dict.fromkeys(
        ("mosaic", "bicubic", "unet", "compact"), 3
    )
    assert (given.out / "minutes-0.05.png").is_file()
    states = {path: path.read_bytes() for path in given.out.rglob("state.safetensors")}
    assert len(states) == 4
    generators.main()
    assert {path: path.read_bytes() for path in states} == states
    assert "### 0.05 minutes, 3 held-out flowers" in capsys.readouterr().out
