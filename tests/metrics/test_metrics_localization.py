"""Localization metrics compared with cases computed by hand and with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ganvas.image.picture import Box
from ganvas.metrics.localization import (
    THRESHOLDS,
    best_overlaps,
    bootstrap,
    box_hits,
    boxes_mask,
    centered_gaussian,
    concentrated_share,
    covered_shares,
    energy_inside,
    matched_gaussian,
    max_box_acc_v2,
    needless_share,
    overlap,
    pixel_average_precision,
)


def test_energy_inside():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0], heat[3, 3] = 3, 1
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    assert energy_inside(heat, mask) == pytest.approx(0.75)
    assert energy_inside(np.zeros((4, 4), np.float32), mask) == pytest.approx(0.25)


def test_overlap():
    assert overlap(Box(0, 0, 4, 4), Box(2, 0, 6, 4)) == pytest.approx(8 / 24)
    assert overlap(Box(0, 0, 4, 4), Box(4, 0, 8, 4)) == 0
    assert overlap(Box(0, 0, 4, 4), Box(0, 0, 4, 4)) == 1


def test_boxes_mask_is_the_union():
    assert boxes_mask([Box(0, 0, 2, 2), Box(1, 1, 3, 3)], 4, 4).sum() == 7


def test_what_a_region_covers_of_objects_and_beside_them():
    region = Box(0, 0, 10, 5).mask(10, 20)
    boxes = [Box(5, 0, 15, 10), Box(0, 0, 5, 5)]
    assert covered_shares(region, boxes) == [0.25, 1.0]
    assert needless_share(region, boxes) == 0
    assert needless_share(region, boxes[:1]) == 25 / 200


def test_the_gaussian_is_centered_and_falls():
    gaussian = centered_gaussian(9, 15, spread=0.25)
    assert np.unravel_index(gaussian.argmax(), gaussian.shape) == (4, 7)
    np.testing.assert_allclose(gaussian, gaussian[::-1, ::-1])
    assert gaussian[0, 0] < gaussian[4, 0] < gaussian[4, 7]


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.6])
def test_the_matched_gaussian_is_as_concentrated(spread):
    given = np.roll(centered_gaussian(64, 64, spread=spread), 5, axis=0)
    matched = matched_gaussian(given)
    assert concentrated_share(matched) == pytest.approx(concentrated_share(given), rel=1e-3)


def test_concentration_of_flat_and_empty_maps():
    assert concentrated_share(np.full((5, 5), 0.3, np.float32)) == pytest.approx(1)
    assert concentrated_share(np.zeros((5, 5), np.float32)) == 1


def test_best_overlaps_take_any_part_and_any_box():
    heat = np.zeros((20, 20), np.float32)
    heat[0:5, 0:5], heat[10:18, 10:18] = 0.5, 1
    best = best_overlaps(heat, [Box(0, 0, 5, 5)])
    assert best.shape == (len(THRESHOLDS),)
    assert best[THRESHOLDS.index(0.4)] == 1
    assert best[THRESHOLDS.index(0.6)] == 0


def test_max_box_acc_chooses_a_threshold_for_each_overlap():
    chosen_on = np.array([[0.8, 0.4], [0.1, 0.4]], np.float32)
    reported_on = np.array([[0.6, 0.35], [0.9, 0.2]], np.float32)
    np.testing.assert_array_equal(box_hits(chosen_on, reported_on), [[1, 1, 0], [0, 1, 1]])
    assert max_box_acc_v2(chosen_on, reported_on) == pytest.approx(4 / 6)


def test_pixel_average_precision_agrees_with_scikit_learn(rng):
    heats = [rng.integers(0, 20, (8, 9)).astype(np.float32) / 20 for _ in range(3)]
    masks = [rng.random((8, 9)) < heat for heat in heats]
    theirs = average_precision_score(
        np.concatenate([m.ravel() for m in masks]), np.concatenate([h.ravel() for h in heats])
    )
    assert pixel_average_precision(heats, masks) == pytest.approx(theirs, abs=1e-6)


def test_bootstrap_spreads_as_the_standard_error(rng):
    values = rng.normal(3, 2, 400)
    spread = bootstrap(values)
    assert spread.mean == pytest.approx(values.mean())
    assert (spread.high - spread.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert bootstrap(values) == spread
