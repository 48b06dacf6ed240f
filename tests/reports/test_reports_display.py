"""Display of pictures beside their target: difference images, channels, ranges, and bounded sizes."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ganvas.image.picture import Picture
from ganvas.reports.display import DIFFERENCE_SCALE, MAX_CHANNELS_SHOWN, difference_image, display, gallery, num_rows
from ganvas.reports.pictures import LARGEST, Encoded, picture_grid
from ganvas.reports.ranking import Ranking


def pixels_of(encoded: Encoded | None) -> NDArray[np.uint8]:
    assert encoded is not None
    return np.asarray(Image.open(BytesIO(base64.b64decode(encoded.source.split(",")[1]))))


def gray(level: int, channels: int = 3, dtype: type = np.uint8) -> NDArray[np.generic]:
    return np.full((12, 16, channels), level, dtype)


def test_a_difference_in_any_channel_counts_four_times() -> None:
    target, output = gray(100), gray(100)
    output[0, 0, 2] = 110
    output[1, 1] = (90, 100, 105)
    output[2, 2] = (0, 0, 255)
    found = difference_image(Picture(output), Picture(target))
    assert (found[0, 0], found[1, 1], found[2, 2], found[5, 5]) == (
        10 * DIFFERENCE_SCALE,
        10 * DIFFERENCE_SCALE,
        255,
        0,
    )
    shown = display([Picture(output)], Picture(target), lossy=False)
    assert np.array_equal(pixels_of(shown.rows[0][1][0].difference)[:, :, 0], found)


def test_only_pictures_of_the_targets_size_have_a_difference() -> None:
    small = Picture(gray(9)[:6, :8])
    shown = display([small, Picture(gray(1, 1)), None, Picture(gray(3))], Picture(gray(5)), ["", "20 dB", "refused"])
    tiles = shown.rows[0][1]
    assert [tile.difference is not None for tile in tiles] == [False, True, False, True, False]
    assert [tile.caption for tile in tiles] == ["", "20 dB", "refused", "", ""]
    assert pixels_of(tiles[1].difference).max() <= 4 * DIFFERENCE_SCALE + 2
    page = gallery({"p": shown}, ["Input", "Gray", "Bad", "Output", "Target"])
    assert page.count("<img") == 6
    assert page.count("not shown") == 1
    assert page.count(", difference from the target") == 2 * 2  # the name of the picture and of its control
    assert f"times {DIFFERENCE_SCALE}" in page
    assert "times" not in gallery({"p": display([small], None)}, ["Input"])


def test_deep_pictures_state_their_range_which_output_and_target_share() -> None:
    ramp = np.linspace(1000, 3000, 12 * 16).reshape(12, 16, 1).astype(np.uint16)
    shown = display([Picture(ramp // 2), Picture(ramp + 100)], Picture(ramp), ["3 dB", ""], lossy=False)
    given, output, target = shown.rows[0][1]
    assert (given.caption, output.caption) == ("3 dB · levels 1,010 to 2,989", "levels 1,010 to 2,989")
    assert pixels_of(target.image).min() == 0
    assert pixels_of(target.image).max() == 255
    difference = pixels_of(output.difference)[:, :, 0]
    assert set(difference.flat) == {round(100 * DIFFERENCE_SCALE * 255 / 1979)}
    assert any("16-bit and float pictures" in note for note in shown.notes)
    apart = [display([Picture(ramp + np.uint16(9000))], Picture(ramp)), display([Picture(ramp)], Picture(ramp + 9000))]
    ends = [one.rows[0][1][0].caption.split(", its own")[1] for one in apart]
    assert ends == [" are all above", " are all below"]
    flat = display([Picture(gray(7, 1, np.uint16))], None)
    assert flat.rows[0][1][0].caption == "levels 7 to 65,542"
    tiny = Picture(np.linspace(-0.01, 0.02, 12 * 16, dtype=np.float32).reshape(12, 16, 1))
    assert display([tiny], None).rows[0][1][0].caption == "levels \u22120.00985 to 0.01985"


def test_other_channels_are_shown_one_by_one() -> None:
    target = np.zeros((12, 16, 5), np.uint8)
    target[:] = [10, 60, 110, 160, 210]
    shown = display([Picture(gray(7)), Picture(target[:, :, :2].copy()), Picture(target)], Picture(target), lossy=False)
    assert [label for label, _ in shown.rows] == [f"channel {index} of 5" for index in range(1, 6)]
    levels = [[None if tile.image is None else int(pixels_of(tile.image)[0, 0, 0]) for tile in tiles]
              for _, tiles in shown.rows]  # fmt: skip
    assert levels == [
        [7, 10, 10, 10],
        [None, 60, 60, 60],
        [None, None, 110, 110],
        [None, None, 160, 160],
        [None, None, 210, 210],
    ]
    page = gallery({"scene": shown}, ["Input", "Two", "Output", "Target"])
    assert "scene: channel 4 of 5" in page
    assert "not shown" not in page
    assert "channel by channel" in page


def test_of_many_channels_those_that_differ_most_are_shown() -> None:
    target = np.zeros((12, 16, 20), np.uint8)
    output = target.copy()
    differing = [1, 2, 5, 7, 11, 13, 17, 19]
    output[:, :, differing] = 5
    shown = display([Picture(output)], Picture(target))
    assert [label for label, _ in shown.rows] == [f"channel {index + 1} of 20" for index in differing]
    assert len(display([Picture(output)], None).rows) == MAX_CHANNELS_SHOWN
    assert [num_rows(*channels) for channels in ((1, 3), (3, 2), (5, 3), (32, 1))] == [1, 2, 5, MAX_CHANNELS_SHOWN]


def test_large_pictures_are_reduced_and_it_says_so() -> None:
    shown = display([Picture(np.zeros((30, 2 * LARGEST, 3), np.uint8))], None)
    encoded = shown.rows[0][1][0].image
    assert encoded is not None
    assert (encoded.height, encoded.width) == (15, LARGEST)
    assert any(str(LARGEST) in note for note in shown.notes)
    assert not display([Picture(gray(3))], None).notes


@pytest.mark.parametrize("total", [4, 30])
def test_the_worst_stand_first_and_the_median_and_best_can_be_reached(total: int) -> None:
    ranking = Ranking([f"p{index:02}" for index in range(total)], 8)
    shown = {name: display([Picture(gray(3))], Picture(gray(4))) for name in reversed(ranking.shown)}
    page = gallery(shown, ["Output", "Target"], ranking)
    assert re.findall(r'<span class="row"[^>]*>(p\d+)<', page) == ranking.shown
    for key in ("worst", "median", "best"):
        assert page.count(f'href="#{key}"') == page.count(f'id="{key}"') == 1


def test_the_same_pictures_give_the_same_page(rng: np.random.Generator) -> None:
    picture = Picture(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pages = {gallery({"p": display([picture], Picture(gray(9)))}, ["Output", "Target"]) for _ in range(2)}
    assert len(pages) == 1
    assert picture_grid([[picture]]) == picture_grid([[picture]])
