"""Comparison of methods from end to end: page, table and grid; failures, refusals and interruptions."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import ConfigError, DataError, DivergenceError, PartialFailure, PolicyRefusal
from ganvas.evaluation import ComparisonConfig, EvaluateConfig
from ganvas.evaluation import compare as comparing
from ganvas.evaluation.compare import compare
from ganvas.evaluation.comparison_measures import translate_all
from ganvas.evaluation.comparison_plan import open_test_pictures, plan_data
from ganvas.evaluation.comparison_result import Comparison
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.image.files import read_image, read_label
from ganvas.image.picture import PictureSpec
from ganvas.inference.translator import Translator
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig
from ganvas.training.report import TrainingResult

TINY: dict[str, Any] = {"epochs": 1, "crop_size": (32, 32), "width": 4, "device": "cpu"}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the recipes by ones with shallow networks."""
    smaller = {
        "pix2pix": {"depth": 2, "receptive_field": 16},
        "cyclegan": {"residual_blocks": 1, "receptive_field": 16},
        "horse2zebra_port": {"residual_blocks": 1, "receptive_field": 16},
    }
    for name, changes in smaller.items():
        recipe = RECIPES[name]()
        small = replace(recipe, method=replace(recipe.method, **changes))
        monkeypatch.setitem(RECIPES, name, lambda small=small: small)


def settings(data: Path, **changes: Any) -> ComparisonConfig:
    return ComparisonConfig(data=data, **({"methods": (), "out": Path("out")} | TINY | changes))


def run(methods: list[str], data: Path, out: Path, **changes: Any) -> Comparison:
    return compare(settings(data, methods=tuple(methods), out=out, **changes), progress=False)


def record(out: Path) -> Any:
    return json.loads((out / "comparison.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made() -> list[Comparison]:
    """Result of `two_methods`."""
    return []


@pytest.fixture
def two_methods(pairs: Path, made: list[Comparison], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Compare pix2pix and CycleGAN on pairs, once for all tests that only read the result."""
    if not made:
        made.append(run(["pix2pix", "cyclegan"], pairs, tmp_path_factory.mktemp("two") / "out"))
    return made[0]


def test_pairs_are_measured_against_their_targets(two_methods: Comparison) -> None:
    found = record(two_methods.out)
    assert (found["kind"], found["split"], found["pictures"]) == ("paired", "test", {"a": 5, "b": 5})
    assert list(found["methods"]) == ["pix2pix", "cyclegan"]
    for name, pairs_seen in (("pix2pix", True), ("cyclegan", False)):
        method = found["methods"][name]
        assert method["pairs_seen"] == pairs_seen
        assert (method["images_seen"], method["stopped"]) == (6, "done")
        assert method["parameters"]["trained"] > method["parameters"]["in_a_snapshot"] > 0
        assert {"psnr", "ssim", "l1"} <= method["fidelity"].keys()
        assert [one["features"] for one in method["distances"]["a_to_b"]] == ["quarters", "quarters"]
    assert found["references"]["unchanged input"]["fidelity"]["psnr"]["mean"] > 0
    assert set(found["methods"]["cyclegan"]["there_and_back_psnr"]) == {"a_to_b", "b_to_a"}
    assert found["methods"]["pix2pix"]["there_and_back_psnr"] == {}
    assert two_methods.exit_code == 0


def test_the_measures_are_those_of_evaluate(two_methods: Comparison, tmp_path: Path) -> None:
    run = shutil.copytree(two_methods.out / "runs" / "cyclegan", tmp_path / "run")
    evaluated = evaluate_run(EvaluateConfig(run, snapshot="last"), progress=False)
    ours = two_methods.methods["cyclegan"].measured.fidelity
    assert {name: ours[name] for name in evaluated.output} == evaluated.output


def test_the_page_the_table_and_the_grid(two_methods: Comparison) -> None:
    out = two_methods.out
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("<title>pix2pix and cyclegan compared</title>", "Against the targets", "Without targets", "quarters",
                  "Cost<", "2 methods, each given 1 epoch of", "used as unpaired sides", "Validation PSNR",
                  "Training of pix2pix: loss", "Training of cyclegan: loss"):  # fmt: skip
        assert words in page
    assert "failed" not in page
    assert page.count("<img") == 5 * (4 + 3)  # input, two outputs, target, and the differences of the first three
    assert "http" not in page.replace("http://www.w3.org", "").replace('http-equiv="Content', "")
    text = str(two_methods)
    assert all(words in text for words in ("PSNR (dB)", "Frechet, b", "kernel, a", "training pictures", "6 "))
    grid = read_image(out / "grid.png")
    assert grid.width > 4 * 32
    assert read_label(out / "grid.png")


def test_the_worst_pictures_come_first_with_their_figures(two_methods: Comparison) -> None:
    psnr = {
        name: fmean(one.measured.scores[name]["psnr"] or 0 for one in two_methods.methods.values())
        for name in two_methods.test.sides["a"]
    }
    order = sorted(psnr, key=lambda name: psnr[name])
    page = (two_methods.out / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<span class="row"[^>]*>(.*?)</span>', page) == order
    worst = two_methods.methods["cyclegan"].measured.scores[order[0]]
    assert f"{worst['psnr']:.2f} dB · SSIM {worst['ssim']:.3f}" in page
    with (two_methods.out / "pictures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = ["pix2pix", "cyclegan", "unchanged input"]
    assert [(row["picture"], row["method"]) for row in rows] == [(name, one) for name in order for one in methods]
    assert float(rows[1]["psnr"]) == worst["psnr"]
    assert rows[1]["lpips"] == ""
    unchanged = two_methods.references["unchanged input"].scores[order[0]]
    assert float(rows[2]["l1"]) == unchanged["l1"]


@pytest.mark.slow
def test_sides_without_pairs(sides: Path, tmp_path: Path) -> None:
    comparison = run(["cyclegan", "horse2zebra_port"], sides, tmp_path / "out", pictures=3)
    found = record(tmp_path / "out")
    assert (found["kind"], found["pictures"]) == ("unpaired", {"a": 3, "b": 3})
    assert found["methods"]["cyclegan"]["fidelity"] == {}
    assert found["methods"]["horse2zebra_port"]["distances"]["b_to_a"][0]["counts"] == [3, 3]
    assert "Against the targets" not in str(comparison)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == (3 + 3) * 3  # both directions
    assert "Evenly spaced" in page
    assert "difference" not in page
    assert "Validation of cyclegan" not in page  # it has no validation split
    assert not (tmp_path / "out" / "pictures.csv").exists()


def test_one_that_fails_is_listed_and_the_others_go_on(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(config: RunConfig, out: Path, **kinds: bool) -> TrainingResult:
        if out.name == "cyclegan":
            raise DivergenceError("weights became NaN")
        return train(config, out, **kinds)

    train = comparing.train
    monkeypatch.setattr(comparing, "train", diverging)
    comparison = run(["cyclegan", "pix2pix"], pairs, tmp_path / "out")
    assert list(comparison.methods) == ["pix2pix"]
    assert comparison.exit_code == PartialFailure.exit_code
    assert record(tmp_path / "out")["failures"] == {"cyclegan": "weights became NaN"}
    assert "cyclegan failed: weights became NaN" in str(comparison)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What failed" in page
    assert "<title>pix2pix measured; cyclegan failed</title>" in page
    assert "cyclegan failed: weights became NaN." in page
    assert "1 of 2 methods, each given" in page
    assert "compared" not in page
    assert "still to come" not in page


@pytest.mark.slow
def test_the_page_says_what_is_still_to_come(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is rewritten after each method, including failed ones."""
    pages, train = list[str](), comparing.train

    def looking(config: RunConfig, out: Path, **kinds: bool) -> TrainingResult:
        page = tmp_path / "out" / "report.html"
        pages.append(page.read_text(encoding="utf-8") if page.exists() else "")
        if out.name == "cut":
            raise DivergenceError("weights became NaN")
        return train(config, out, **kinds)

    monkeypatch.setattr(comparing, "train", looking)
    run(["pix2pix", "cut", "cyclegan"], pairs, tmp_path / "out")
    assert pages[0] == ""
    assert "<title>pix2pix measured so far</title>" in pages[1]
    assert "2 methods are still to come" in pages[1]
    assert "<title>pix2pix measured so far; cut failed</title>" in pages[2]
    assert "1 of 3 methods, each given" in pages[2]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<title>pix2pix and cyclegan compared; cut failed</title>" in page
    assert "2 of 3 methods, each given" in page


def test_a_crop_that_no_method_takes_fails_all(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(PartialFailure, match="2 of 2 failed"):
        run(["pix2pix", "cyclegan"], pairs, tmp_path / "out", crop_size=(9, 9))


@pytest.mark.slow
def test_interrupted_the_same_call_goes_on(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, calls = comparing.train, list[str]()

    def interrupted(config: RunConfig, out: Path, **kinds: bool) -> TrainingResult:
        calls.append(out.name)
        result = train(config, out, **kinds)
        return replace(result, stopped="interrupted") if len(calls) == 2 else result

    monkeypatch.setattr(comparing, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(["pix2pix", "cyclegan"], pairs, tmp_path / "out")
    assert list(record(tmp_path / "out")["methods"]) == ["pix2pix"]
    before = (tmp_path / "out" / "runs" / "pix2pix" / "state.safetensors").read_bytes()
    again = run(["pix2pix", "cyclegan"], pairs, tmp_path / "out")
    assert list(again.methods) == ["pix2pix", "cyclegan"]
    assert (tmp_path / "out" / "runs" / "pix2pix" / "state.safetensors").read_bytes() == before
    assert again.methods["pix2pix"].training_seconds > 0


@pytest.mark.slow
def test_with_more_epochs_the_runs_go_on(pairs: Path, tmp_path: Path) -> None:
    run(["pix2pix"], pairs, tmp_path / "out")
    assert run(["pix2pix"], pairs, tmp_path / "out", epochs=2).methods["pix2pix"].trained.images_seen == 12


def test_other_settings_need_another_folder(pairs: Path, tmp_path: Path) -> None:
    run(["pix2pix"], pairs, tmp_path / "out")
    with pytest.raises(PartialFailure, match=r"other settings: data\.load_size was .*; data\.crop_size"):
        run(["pix2pix"], pairs, tmp_path / "out", crop_size=(24, 24))


@pytest.mark.slow
def test_other_pictures_need_another_folder(sides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pictures is the same, and so may be the names of the folders."""
    for name in ("first", "second"):
        shutil.copytree(sides, tmp_path / name / "sides")
    out, relative = tmp_path / "out", sides.relative_to(tmp_path)
    monkeypatch.chdir(tmp_path / "first")
    run(["cyclegan"], relative, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path / "second")
    with pytest.raises(ConfigError, match=r"first.sides, not on .*second.sides: use another --out; .* ganvas resume"):
        run(["cut", "cyclegan"], relative, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert run(["cyclegan"], tmp_path / "second" / ".." / "first" / "sides", out).exit_code == 0


def test_what_is_refused_is_shown_nowhere(sides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate refuses all outputs of a method, which is listed without metrics, with the names of all pictures."""
    real = {read_image(path).pixels.tobytes() for path in sides.rglob("*.png")}
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.0 if rgb.tobytes() in real else 0.9)
    gate.forget_scorer()
    comparison = run(["cyclegan"], sides, tmp_path / "out")
    found = record(tmp_path / "out")["methods"]["cyclegan"]
    assert list(found["refused"]["a_to_b"]) == ["0.png", "1.png", "2.png", "3.png"]
    assert comparison.exit_code == 0
    assert "4 of 4 outputs of cyclegan, a to b, refused by the content gate: 0.png (Open NSFW scores it" in str(
        comparison
    )
    assert found["distances"]["a_to_b"] == []
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("not shown") == page.count("<img") == 8
    assert "<title>No method produced a picture that can be shown</title>" in page
    assert "cyclegan produced no picture that the content gate admits" in page
    assert "outputs of cyclegan, b to a, refused by the content gate" in page


def test_two_refused_outputs_do_not_end_a_method(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: two early, blurry outputs of twelve were treated like a refused data set."""
    made = run(["pix2pix"], pairs, tmp_path / "out").methods["pix2pix"].measured.translated["a_to_b"].rgb()
    refused = {picture.tobytes() for picture in made[:2]}
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (rgb.tobytes() in refused))
    gate.forget_scorer()
    comparison = run(["pix2pix"], pairs, tmp_path / "out")
    measured = comparison.methods["pix2pix"].measured
    assert list(measured.translated["a_to_b"].refused) == ["0", "1"]
    assert measured.fidelity["psnr"].count == 3
    told = " ".join(str(comparison).split())
    assert "2 of 5 outputs of pix2pix, a to b, refused by the content gate: 0 (Open NSFW scores it 0.900" in told
    assert "its figures are of the other 3" in told


def test_refused_pairs_leave_both_sides(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = plan_data(settings(pairs))
    assert len(open_test_pictures(data, limit=9).sides["a"]) == 5
    target = open_test_pictures(data, limit=9).sides["b"]["3"].picture.as_rgb8()
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * np.array_equal(rgb, target))
    gate.forget_scorer()
    test = open_test_pictures(data, limit=9)
    assert [list(pictures) for pictures in test.sides.values()] == [["0", "1", "2", "4"]] * 2
    assert list(test.refused) == ["3"]


def test_a_gate_that_refuses_too_much_ends_it(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal):
        run(["pix2pix"], pairs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_pictures_to_measure_on_nothing_is_trained(pairs: Path, tmp_path: Path) -> None:
    for split in ("test", "val"):
        (pairs / split).rename(tmp_path / split)
    with pytest.raises(DataError, match="no test and no val split: put held-out pictures"):
        run(["pix2pix"], pairs, tmp_path / "out")
    with pytest.raises(ConfigError, match="pictures 1 must be 2 or more"):
        run(["pix2pix"], pairs, tmp_path / "out", pictures=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_translation_is_what_the_translator_makes(sides: Path, tmp_path: Path) -> None:
    run(["cyclegan"], sides, tmp_path / "out")
    test = open_test_pictures(plan_data(settings(sides)), limit=9)
    translator = Translator.load(tmp_path / "out" / "runs" / "cyclegan", device="cpu", direction="b_to_a")
    made = translate_all(translator, test.sides["b"])
    name, picture = next(iter(test.sides["b"].items()))
    assert np.array_equal(made.outputs[name].picture.pixels, translator(picture.picture).pixels)
    assert test.specs == {"a": PictureSpec(), "b": PictureSpec()}


def test_from_the_command_line(sides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(sides), "--methods", "cyclegan", "--out", str(tmp_path / "out"), "--epochs", "0.2"]
    words += ["--crop-size", "32", "32", "--width", "4", "--device", "cpu"]
    assert main(["compare", *words]) == 0
    printed = capsys.readouterr()
    assert "Report: " in printed.out
    assert "The pictures are used as unpaired: " in printed.err
    assert main(["compare", "--data", str(sides), "--methods", "pix2pix", "--out", "out", "--minutes", "1"]) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("networks_at_hand")
def test_with_the_networks_that_are_at_hand(pairs: Path, tmp_path: Path) -> None:
    run(["pix2pix"], pairs, tmp_path / "out")
    method = record(tmp_path / "out")["methods"]["pix2pix"]
    assert method["distances"]["a_to_b"][0]["features"].startswith("efficientnet-lite0")
    assert "lpips" in method["fidelity"]
