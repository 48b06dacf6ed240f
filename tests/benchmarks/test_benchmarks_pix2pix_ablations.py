"""Ablations of pix2pix: variants, tables, and resumption."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.errors import WeightsError
from ganvas.evaluation import comparison_measures as measures
from ganvas.image.files import read_image
from ganvas.methods import Pix2PixHDConfig
from ganvas.methods.base import build
from ganvas.metrics.distribution import FeatureSpace
from ganvas.metrics.features import FeatureExtractor
from ganvas.runs.record import read_run_record

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class ColorMeans(torch.nn.Module):
    """(N, 3, H, W) -> (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import pix2pix_ablations

    return pix2pix_ablations


@pytest.fixture
def ablations(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Replace the feature network by one with three features, and leave out LPIPS."""

    def nowhere(**options: object) -> None:
        raise WeightsError("none")

    space = FeatureSpace(name="colors", dimension=3, protocol="as they are")
    extractor = FeatureExtractor(space=space, network=ColorMeans(), pool=lambda means: means, prepare=np.float32)
    monkeypatch.setattr(measures, "efficientnet_features", lambda: extractor)
    monkeypatch.setattr(measures, "load_lpips", nowhere)
    module.held_pictures.cache_clear()
    module.metric_networks_of.cache_clear()
    return module


@pytest.fixture
def facades(tmp_path: Path, rng: np.random.Generator) -> Path:
    for split, count in (("train", 3), ("test", 3), ("val", 1)):
        (tmp_path / "facades" / split).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "facades" / split / f"{index}.png")
    return tmp_path / "facades"


def words(data: Path, out: Path, *more: str) -> list[str]:
    small = ["--width", "2", "--size", "32", "--images", "2", "--pictures", "2"]
    return ["pix2pix_ablations.py", "--data", str(data), "--out", str(out), *small, *more]


def given(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *more: str) -> argparse.Namespace:
    monkeypatch.setattr(sys, "argv", ["pix2pix_ablations.py", "--data", "data", "--out", "out", *more])
    namespace: argparse.Namespace = module.arguments()
    return namespace


@pytest.mark.slow
def test_two_variants_from_end_to_end_and_another_seed(
    ablations: ModuleType, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", words(facades, out, "--only", "L1", "16 pixels", "--seeds", "0"))
    ablations.main()
    assert begun(capsys.readouterr().out) == ["l1-0", "16-pixels-0"]
    results = {path.stem: json.loads(path.read_text()) for path in (out / "results").iterdir()}
    assert {name: result["images"] for name, result in results.items()} == {"l1-0": 2, "16-pixels-0": 2}
    assert all(set(result["figures"]) == {"l1", "psnr", "frechet"} for result in results.values())
    method = read_run_record(out / "runs" / "16-pixels-0").method
    assert (method.receptive_field, method.generator, method.l1_weight) == (16, "unet", 100.0)
    text = (out / "ablations.md").read_text(encoding="utf-8")
    assert text.count("| input |") == 3
    assert "| L1 | 1 | 2 |" in text
    assert read_image(out / "grid.png").width > 4 * 32
    record = json.loads((out / "ablations.json").read_text())
    assert (record["features"], record["pictures"], len(record["results"])) == ("colors", 2, 2)

    # Finished variants are not trained again; another seed is
    monkeypatch.setattr(sys, "argv", words(facades, out, "--only", "L1", "--seeds", "0", "2"))
    ablations.main()
    assert begun(capsys.readouterr().out) == ["l1-2"]
    assert "| L1 | 2 | 2 (2 to 2) |" in (out / "ablations.md").read_text(encoding="utf-8")


def begun(output: str) -> list[str]:
    """Return the runs that the command reports as begun."""
    return [line.split(":")[0] for line in output.splitlines() if line.endswith("begins")]


def test_seeds_are_outermost(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = module.jobs_of(given(module, monkeypatch, "--only", "cGAN", "1 pixel", "--seeds", "4", "7"))
    assert [job.name for job in jobs] == ["cgan-4", "1-pixel-4", "cgan-7", "1-pixel-7"]
    assert {job.config.training.minutes for job in jobs} == {8.0}
    assert {job.config.training.threads for job in jobs} == {1}


def test_the_variants_of_the_paper(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = module.variants_of(given(module, monkeypatch))
    assert {name for names in module.TABLES.values() for name in names} == set(methods)
    base = methods["L1 + cGAN"]
    assert (base.generator, base.receptive_field, base.width, base.discriminator_width) == ("unet", 70, 32, 32)
    assert [methods[name].receptive_field for name in module.TABLES["Table 3: receptive field"]] == [1, 16, 70, 286]
    weights = [(methods[name].adversarial_weight, methods[name].l1_weight) for name in module.TABLES["Table 1: loss"]]
    assert weights == [(0, 100), (1, 0), (1, 100)]


@pytest.mark.parametrize("task", ["facades", "restore"])
def test_pix2pix_hd_and_pix2pix_differ_in_losses_then_in_the_generator(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    options = given(module, monkeypatch, "--compare", "hd", "--task", task)
    pix2pix, losses, perceptual, whole = module.variants_of(options).values()
    for other in (losses, perceptual):
        assert isinstance(other, Pix2PixHDConfig)
        for name in ("generator", "width", "depth", "norm", "dropout", "residual", "discriminator_width"):
            assert getattr(other, name) == getattr(pix2pix, name)
    assert (whole.generator, whole.width, whole.residual) == ("resnet", 32, task == "restore")
    assert [one.adversarial_weight for one in (pix2pix, losses)] == [1, 1]
    assert (losses.perceptual, perceptual.perceptual, losses.l1_weight) == ("none", "vgg16", 0)
    with torch.device("meta"):
        for method in (pix2pix, losses, perceptual, whole):
            build(method, input_channels=3, output_channels=3, image_size=(options.size, options.size))


def test_a_variant_that_is_not_there_is_named(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no variant L2: there are L1 \\+ cGAN, L1, "):
        module.variants_of(given(module, monkeypatch, "--only", "L2", "L1"))


def test_orders_and_ranges_by_hand(module: ModuleType) -> None:
    from measure.seeds import Measure, Trial, seed_table

    figures = {("a", 0): (1.0, 9.0), ("b", 0): (2.0, 8.0), ("a", 1): (3.0, 7.0), ("b", 1): (2.5, 6.0), ("a", 2): (0, 0)}
    trials = [
        Trial(variant=name, seed=seed, images=10 + seed, figures={"error": error, "psnr": psnr})
        for (name, seed), (error, psnr) in figures.items()
    ]
    kinds = (Measure(name="error", caption="error"), Measure(name="psnr", caption="PSNR", larger_is_better=True))
    table = seed_table("t", trials, ["b", "a", "c"], kinds)
    assert [row[""] for row in table.rows] == ["b", "a"]
    assert (table.rows[0]["error"], table.rows[1]["images"]) == ("2.25 (2 to 2.5)", "11 (10 to 12)")
    assert table.notes == []  # no seed has all three variants
    assert seed_table("t", trials, ["b", "a"], kinds).notes == [
        "error, best first: a; b (1 of 2 seeds have this order).",
        "PSNR, best first: a; b (2 of 2 seeds have this order).",
    ]


@pytest.mark.slow
@pytest.mark.real_gate
def test_two_processes_train_what_is_missing(
    module: ModuleType, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    variants = ("--only", "pix2pix", "HD losses", "HD, global generator", "--seeds", "0", "--size", "96")
    monkeypatch.setattr(sys, "argv", words(facades, out, "--compare", "hd", "--processes", "2", *variants))
    module.main()
    assert len(list((out / "results").iterdir())) == 3
    assert "| HD, global generator | 1 | 2 |" in (out / "ablations.md").read_text()
