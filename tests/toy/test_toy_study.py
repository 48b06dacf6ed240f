"""`ganvas density` from the command line: files, tables, refusals."""

import json
import sys
from pathlib import Path

import pytest

from ganvas.cli import main
from ganvas.image.files import read_image
from ganvas.toy.experiments import DualLearning, likelihood_curves, sample_piecewise, watch_dual_learning
from ganvas.toy.study import as_table

matplotlib = pytest.importorskip("matplotlib")
FAST = {"sample": [], "likelihood": [], "gan": ["--steps", "2"], "collapse": ["--steps", "1"], "dual": ["--steps", "2"]}


@pytest.fixture
def short_warm_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use few steps on known pairs before dual learning."""
    monkeypatch.setitem(DualLearning.learn_from_pairs.__kwdefaults__, "steps", 20)


@pytest.mark.slow
@pytest.mark.usefixtures("short_warm_start")
@pytest.mark.parametrize("question", FAST)
def test_a_question_is_answered(question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["density", question, "--out", str(tmp_path), "--seed", "3", *FAST[question]]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{question}.json", f"{question}.png"}
    record = json.loads((tmp_path / f"{question}.json").read_text())
    assert (record["question"], record["seed"]) == (question, 3)
    assert read_image(tmp_path / f"{question}.png").pixels.std() > 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in record["rows"][0])


def test_answers_in_one_folder_replace_none_of_the_others(tmp_path: Path) -> None:
    for question in ("sample", "likelihood"):
        assert main(["density", question, "--out", str(tmp_path)]) == 0
    assert {path.stem: json.loads(path.read_text())["question"] for path in tmp_path.glob("*.json")} == {
        "sample": "sample",
        "likelihood": "likelihood",
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["density", "sample", "--out", str(tmp_path / name)]) == 0
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "--steps", "3"], "sample does not train: omit --steps"),
        (["gan", "--steps", "0"], "steps 0 must be at least 1"),
        (["sample", "--seed", "-1"], "seed -1 must not be negative"),
    ],
)
def test_bad_settings_are_named(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["density", *words, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_folders_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    assert main(["density", "sample", "--out", str(tmp_path / "out")]) == 2
    assert "this name is taken" in capsys.readouterr().err


def test_without_matplotlib_the_mend_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["density", "gan", "--out", str(tmp_path / "out")]) == 6
    assert "pip install 'matplotlib>=" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_likelihood_and_divergence_share_their_lowest_point() -> None:
    curves = likelihood_curves(seed=0)
    lowest = curves.minimizers
    assert lowest["cross_entropy"] == lowest["kl"]
    assert lowest["likelihood"] == pytest.approx(lowest["kl"], abs=0.05)
    assert curves.largest_gap_error < 1e-12
    assert curves.kl.min() > 0  # no normal distribution equals the piecewise density


def test_the_likeliest_mean_is_the_mean_of_the_samples() -> None:
    samples = sample_piecewise(seed=0).samples
    assert likelihood_curves(seed=0).minimizers["likelihood"] == pytest.approx(samples.mean(), abs=0.006)


def test_the_sampler_passes_its_own_test() -> None:
    assert sample_piecewise(seed=0).p_value > 0.01


@pytest.mark.usefixtures("short_warm_start")
def test_dual_learning_is_watched_at_even_moments() -> None:
    watched = watch_dual_learning(pairs=8, seed=0, steps=40)
    assert watched.steps == list(range(41))
    assert len(watched.reward) == len(watched.steps) - 1
    assert watched.reward[-1] > watched.reward[0]


@pytest.mark.slow
def test_dual_learning_learns_without_pairs() -> None:
    watched = watch_dual_learning(pairs=8, seed=0, steps=1000)
    assert watched.distance[-1] < 0.3 * watched.distance[0]
    assert watched.fluent[-1] > watched.fluent[0]
    assert watched.right[-1] > 0.95


def test_a_table_is_aligned() -> None:
    assert as_table([{"name": "a", "x": 0.123456}, {"name": "longer", "x": 2}]) == (
        "name    x\na       0.1235\nlonger  2"
    )
