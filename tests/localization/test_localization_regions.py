"""Boxes, masks and what is drawn."""

import numpy as np
import pytest

from ganvas.image.picture import Box
from ganvas.localization import boxes_from_map, mask_from_map, overlay


@pytest.fixture
def two_blobs():
    heat = np.zeros((20, 30), np.float32)
    heat[2:6, 3:8] = 1
    heat[10:18, 12:25] = 0.5
    heat[0, 29] = 0.15
    return heat


def test_the_largest_part_is_the_box(two_blobs):
    assert boxes_from_map(two_blobs) == [Box(12, 10, 25, 18)]


def test_all_parts_come_largest_first(two_blobs):
    assert boxes_from_map(two_blobs, largest_only=False) == [Box(12, 10, 25, 18), Box(3, 2, 8, 6)]


def test_threshold_is_a_share_of_the_maximum(two_blobs):
    assert boxes_from_map(two_blobs * 7, threshold=0.6) == [Box(3, 2, 8, 6)]
    assert mask_from_map(two_blobs, threshold=0.1).sum() == 4 * 5 + 8 * 13 + 1


def test_nothing_hot_gives_nothing():
    cold = np.zeros((5, 5), np.float32)
    assert boxes_from_map(cold, largest_only=False) == []
    assert not mask_from_map(cold).any()


def test_overlay_leaves_cold_places_grey(two_blobs, rng):
    rgb = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    drawn = overlay(rgb, two_blobs, boxes=[Box(12, 10, 25, 18)])
    assert drawn.shape == rgb.shape
    assert drawn.dtype == np.uint8
    assert len(set(drawn[19, 0].tolist())) == 1
    assert drawn[10, 12].tolist() == [255, 255, 255]
    assert drawn[3, 4].std() > 0
