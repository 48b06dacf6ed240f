"""Benchmarks start, and their computations from measurements are right."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import torch
from torch.nn import functional

from ganvas.training.schedule import Budget

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("script", ["speed.py", "growth.py"])
def test_help(script: str) -> None:
    done = subprocess.run([sys.executable, BENCHMARKS / script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_ratio_is_the_median_of_each_rounds_own() -> None:
    timing = module("measure.timing")
    slow, fast = timing.Timing((2.0, 20.0, 3.0)), timing.Timing((1.0, 10.0, 1.0))  # both are slow in the second round
    assert timing.ratio(slow, fast) == 2.0
    assert slow.median == 3.0
    assert slow.spread == "2-20"


def test_variants_take_turns() -> None:
    called: list[str] = []
    timing = module("measure.timing")
    timers = {name: timing.timer(lambda name=name: called.append(name)) for name in "ab"}
    timings = timing.in_turn(timers, rounds=3)
    assert called == 3 * ["a", "b"]
    assert all(len(timing.seconds) == 3 for timing in timings.values())


def test_quick_work_fills_its_round() -> None:
    asked: list[int] = []
    module("measure.timing").in_turn({"a": lambda calls: asked.append(calls) or 0.125}, rounds=2, least_seconds=0.5)
    assert asked == [1, 4, 4]


def test_two_rounds_are_made_even_beyond_the_budget() -> None:
    called: list[int] = []
    module("measure.timing").in_turn({"a": lambda calls: called.append(calls) or 1.0}, rounds=9, budget=0.0)
    assert called == [1, 1]


def test_the_warm_up_is_called_and_not_counted() -> None:
    called: list[int] = []
    timings = module("measure.timing").in_turn(
        {"a": lambda calls: called.append(calls) or 1.0 / calls}, rounds=2, warm_up=4
    )
    assert called == [4, 1, 1]
    assert timings["a"].seconds == (1.0, 1.0)


@pytest.mark.parametrize(("seconds", "least", "calls"), [(0.1, 0.5, 5), (2.0, 0.5, 1), (0.0, 0.5, 500_000_000)])
def test_quick_work_is_called_more_often(seconds: float, least: float, calls: int) -> None:
    assert module("measure.timing").num_calls(seconds, least) == calls


def test_share_of_peak() -> None:
    assert module("measure.operations").share_of_peak(50e9, 0.5, 400e9) == 25.0


@pytest.mark.parametrize("transposed", [False, True])
def test_operations_of_both_kinds_of_convolution_forward_and_backward(transposed: bool) -> None:
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    weight = torch.randn(3, 5, 4, 4) if transposed else torch.randn(5, 3, 4, 4)
    weight.requires_grad_()
    convolve = functional.conv_transpose2d if transposed else functional.conv2d
    products = 2 * 5 * 3 * 16 * (64 if transposed else 16)  # each pixel of the smaller picture meets the kernel
    counted = module("measure.operations").count_operations
    assert counted(lambda: convolve(images, weight, stride=2, padding=1)) == 2 * products
    assert counted(lambda: convolve(images, weight, stride=2, padding=1).sum().backward()) == 3 * 2 * products


def test_table_in_markdown() -> None:
    table = module("measure.table").Table("Speed", [{"a": "x|y", "b": 1.23456}, {"a": "z", "c": 12345.6}], ["A note."])
    table.fail("the rest", ValueError("no"))
    text = module("measure.table").markdown([table])
    assert text.splitlines()[2:6] == [
        "| a | b | c |",
        "| --- | --- | --- |",
        "| x\\|y | 1.23 |  |",
        "| z |  | 12,346 |",
    ]
    assert text.endswith("A note.\n\nFAILED: the rest: ValueError: no")
    assert table.as_record()["failures"]


def test_unknown_part() -> None:
    speed = module("speed")
    assert speed.parts("step,data") == ["step", "data"]
    with pytest.raises(argparse.ArgumentTypeError, match="no part stop; parts: start, step"):
        speed.parts("step,stop")


def test_every_part_has_its_function() -> None:
    for place in module("speed").PARTS.values():
        name, function = place.split(".")
        assert callable(getattr(module(f"measure.{name}"), function))


def test_cache_pays_after() -> None:
    rows = [{"pairs/s": 1000.0}, {"pairs/s": 100.0}]  # 400 pairs: 0.4 s and 4 s per epoch
    assert module("measure.pipeline").pays_after(400, rows, {"seconds": 18.0}) == pytest.approx(5.0)


def test_growth_a_pixel() -> None:
    rows = [{"model": "m", "pixels a side": side, "peak MB": 24e-6 * side**2 + 7} for side in (256, 512, 1024)]
    assert module("growth").bytes_a_pixel(rows) == pytest.approx(24.0)


def test_data_set_of_links(tmp_path: Path) -> None:
    growth = module("growth")
    folder = tmp_path / "data" / "train"
    growth.make_data(folder, 250)
    assert len(list(folder.iterdir())) == 250
    assert len({path.read_bytes() for path in folder.iterdir()}) == growth.DISTINCT


def test_figure(tmp_path: Path) -> None:
    plot, line = module("measure.plot"), [(256.0, 0.1), (4096.0, 20.0)]
    plot.write_panels(tmp_path / "growth.svg", [plot.Panel("time", "pixels", "s", {"a & b": line, "c": line})])
    root = ElementTree.parse(tmp_path / "growth.svg").getroot()
    assert len(root.findall(".//{*}path")) == 2
    assert "a & b" in [text.text for text in root.findall(".//{*}text")]


def test_patterns_repeat() -> None:
    pictures = module("measure.pictures")
    assert pictures.pattern(32, 16, seed=3).tobytes() == pictures.pattern(32, 16, seed=3).tobytes()
    assert pictures.pattern(32, 16, seed=3).size == (32, 16)


def given(variant: str, folder: Path) -> dict[str, object]:
    words = {"module": "networks", "work": "U-Net 256, batch 1", "variant": variant, "threads": 1}
    return {**words, "reference": None, "data": None, "folder": str(folder)}


@pytest.mark.slow
def test_worker_answers_and_a_broken_one_is_told(tmp_path: Path) -> None:
    workers, table = module("measure.workers"), module("measure.table").Table("t")
    variants = {"plain": given("plain", tmp_path), "broken": {**given("plain", tmp_path), "work": "none such"}}
    with workers.team("networks", variants, table) as team:
        assert list(team.workers) == ["plain"]
        assert team.peaks["plain"] > 100e6  # 54 million weights
        assert team.workers["plain"].seconds(1) > 0
        assert team.count("plain, captured") == pytest.approx(12.1e9, rel=0.01)
    assert "none such" in table.failures[0]


@pytest.mark.slow
def test_two_versions_are_compared_in_turn() -> None:
    command = [sys.executable, BENCHMARKS / "versions.py", BENCHMARKS.parent, "--work", "demo", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, other, this, ratio, _ = (cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|"))
    assert name == "networks: the demo's network, batch 1"
    assert float(ratio) == pytest.approx(float(this) / float(other), rel=0.01)


def test_a_training_ends_at_its_minutes_whatever_a_step_or_a_checkpoint_took() -> None:
    budget = Budget(limit=60.0, batch_size=1, validation_pictures=100)
    budget.took_step(50.0)
    assert budget.is_over(30.0)
    with module("measure.budget").processor_time():
        assert not budget.is_over(59.9)
        assert budget.is_over(60.0)
        assert not Budget(limit=None, batch_size=1, validation_pictures=0).is_over(60.0)
