"""The demo: photographs that are there, regions on the mosaic's grid, and (slow) the whole of it, shortened."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import ganvas
from ganvas.demo.judge import interpolated, judge
from ganvas.demo.photographs import PHOTOGRAPHS, Photograph, locate_photograph
from ganvas.demo.regions import BLOCK, Covered, on_grid
from ganvas.demo.run import demo_config, run_demo
from ganvas.errors import MissingDependency
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import read_label
from ganvas.image.label import SOURCE_TYPE
from ganvas.image.picture import Box, Picture
from ganvas.localization import Finding


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
