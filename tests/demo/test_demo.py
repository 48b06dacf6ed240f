"""The demo: photographs that are there, regions on the mosaic's grid, and (slow) the whole of it, shortened."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import ganvas
from ganvas.demonstration import learn as learning
from ganvas.demonstration.judge import interpolated, judge
from ganvas.demonstration.learn import demo_config, learn, quickest
from ganvas.demonstration.photographs import PHOTOGRAPHS, Photograph, locate_photograph
from ganvas.demonstration.regions import BLOCK, Covered, on_grid
from ganvas.demonstration.run import run_demo, unpack
from ganvas.errors import ConfigError, InputError, MissingDependency
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import read_label
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import Box, Picture
from ganvas.localization import Finding
from ganvas.training.result import TrainingResult


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda one: one.name)
def test_the_photographs_are_in_the_packages(photograph: Photograph) -> None:
    assert locate_photograph(photograph).is_file()


def test_a_missing_package_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"scikit-learn: pip install 'ganvas\[demo\]'"):
        locate_photograph(PHOTOGRAPHS[0])


@pytest.mark.parametrize("box", [Box(3, 9, 30, 31), Box(0, 0, 77, 53), Box(70, 40, 77, 53)])
def test_regions_lie_on_whole_blocks(box: Box) -> None:
    picture = Picture(np.zeros((53, 77, 3), np.uint8))
    region = on_grid(box, picture)
    assert all(side % BLOCK == 0 for side in (region.left, region.top, region.right, region.bottom))
    assert region.right <= 77
    assert region.bottom <= 53


def covered_noise(rng: np.random.Generator) -> Covered:
    original = Picture(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8))
    region = Box(16, 8, 64, 56)
    finding = Finding("noise", 1.0, np.zeros((64, 80), np.float32), (region,), region.mask(64, 80))
    mosaicked = cover_picture(original, region, Cover(style="mosaic", block_size=BLOCK))
    return Covered(Photograph("noise", "skimage", "", "unseen"), original, finding, region, mosaicked)


def test_judging_is_inside_the_region_alone(rng: np.random.Generator, tmp_path: Path) -> None:
    covered = covered_noise(rng)
    perfect = covered.original.pixels.copy()
    perfect[:4] = 0  # outside the region
    ganvas.write_image(tmp_path / "perfect.png", Picture(perfect))
    judgement = judge(covered, restored={"l1": tmp_path / "perfect.png"})
    assert judgement.scores["l1"]["psnr"] == float("inf")
    assert judgement.scores["mosaic"]["psnr"] < 15


def test_interpolation_touches_the_region_alone(rng: np.random.Generator) -> None:
    covered = covered_noise(rng)
    inside = covered.region.mask(64, 80)
    made = interpolated(covered).pixels
    np.testing.assert_array_equal(made[~inside], covered.original.pixels[~inside])
    assert (made[inside] != covered.mosaicked.pixels[inside]).any()


def test_both_runs_differ_in_the_adversarial_term_and_rate_alone(tmp_path: Path) -> None:
    alone, both = (demo_config(tmp_path, adversarial_weight=weight) for weight in (0.0, 1.0))
    assert alone.data == both.data
    assert (alone.method.adversarial_weight, both.method.adversarial_weight) == (0.0, 1.0)


def test_what_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    photograph = tmp_path / "photographs" / "mine.png"
    photograph.parent.mkdir()
    photograph.write_text("mine")
    with pytest.raises(InputError, match=r"holds photographs, which no demo made; choose another folder"):
        unpack(tmp_path)
    assert photograph.read_text() == "mine"


def test_an_earlier_demo_is_replaced_beside_runs_of_ones_own(tmp_path: Path) -> None:
    unpack(tmp_path)
    for folder in ("runs/mine", "runs/l1", "restored"):
        (tmp_path / folder).mkdir(parents=True)
    unpack(tmp_path)
    assert (tmp_path / "runs" / "mine").is_dir()
    assert not (tmp_path / "runs" / "l1").exists()
    assert not (tmp_path / "restored").exists()


def test_without_the_packages_an_earlier_demo_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency):
        unpack(tmp_path)
    assert (tmp_path / "photographs").is_dir()


def test_no_time_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="minutes 0 must be positive"):
        run_demo(tmp_path, minutes=0)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_of_the_training_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = TrainingResult(run=tmp_path, images_seen=8, seconds=1.0, images_per_second=8.0, stopped="interrupted")
    monkeypatch.setattr(learning, "train", lambda *_, **__: ended)
    with pytest.raises(KeyboardInterrupt):
        learn(demo_config(tmp_path, adversarial_weight=0.0), tmp_path / "run", minutes=1.0, probe=tmp_path / "probe")


def test_the_quicker_number_of_threads_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads on a machine with one core to spare were 10 times slower than one."""
    config = demo_config(tmp_path, adversarial_weight=0.0)
    torch.set_num_threads(2)
    monkeypatch.setattr(learning, "trial", lambda *_: {1: 230.0, 2: 22.0}[torch.get_num_threads()])
    assert quickest(config, tmp_path) == (1, 230.0)
    monkeypatch.setattr(learning, "trial", lambda *_: {1: 350.0, 2: 640.0}[torch.get_num_threads()])
    assert quickest(config, tmp_path) == (2, 640.0)
    assert torch.get_num_threads() == 2


@pytest.mark.slow
@pytest.mark.real_gate
def test_the_whole_demo(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    print(run_demo(tmp_path, minutes=0.5))
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    unseen = metrics["unseen"]
    assert metrics["seconds"] > 0
    assert metrics["train_images_per_second"] > 0
    assert unseen["bicubic"]["psnr"] > unseen["mosaic"]["psnr"]
    assert unseen["restored"]["psnr"] > unseen["mosaic"]["psnr"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert read_label(tmp_path / "restored" / "l1" / "cat.png") == SOURCE_TYPE
    assert (tmp_path / "mine.txt").read_text() == "kept"
