"""Class activation maps, boxes, masks and overlays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganvas.image.picture import Box
from ganvas.localization import (
    Evidence,
    boxes_from_map,
    class_map,
    evidence_map,
    grad_cam,
    heat,
    log_odds,
    margin_map,
    mask_from_map,
    overlay,
    upsample,
)
from ganvas.localization.classifier import LinearHead


def make_evidence(rng, *, classes=3):
    head = LinearHead(rng.normal(size=(classes, 5)).astype(np.float32), rng.normal(size=classes).astype(np.float32))
    return head.evidence(rng.normal(size=(5, 4, 6)).astype(np.float32), Box(2, 1, 12, 9))


def test_class_map_is_the_weighted_sum(rng):
    evidence = make_evidence(rng)
    expected = sum(weight * feature for weight, feature in zip(evidence.head[1], evidence.features, strict=True))
    np.testing.assert_allclose(class_map(evidence, 1), expected, rtol=1e-5, atol=1e-6)


def test_mean_of_class_map_plus_bias_is_the_logit(rng):
    evidence = make_evidence(rng)
    head = LinearHead(evidence.head, evidence.bias)
    means = [class_map(evidence, k).mean() + evidence.bias[k] for k in range(3)]
    np.testing.assert_allclose(means, head.logits(evidence.features), atol=1e-5)


def test_margin_map_gives_the_log_odds(rng):
    evidence = make_evidence(rng)
    expected = np.log(evidence.scores[2]) - np.log(evidence.scores[0])
    assert log_odds(evidence, 2, 0) == pytest.approx(expected, abs=1e-5)


def test_two_classes_use_the_margin(rng):
    evidence = make_evidence(rng, classes=2)
    np.testing.assert_array_equal(evidence_map(evidence, 1), margin_map(evidence, 1, 0))


def test_more_classes_use_the_class_map(rng):
    evidence = make_evidence(rng)
    np.testing.assert_array_equal(evidence_map(evidence, 1), class_map(evidence, 1))


def test_grad_cam_equals_cam_after_pooling_and_linear(rng):
    evidence = make_evidence(rng)
    gradients = np.repeat(evidence.head[1], 24).reshape(5, 4, 6) / 24
    expected = np.maximum(class_map(evidence, 1), 0) / 24
    np.testing.assert_allclose(grad_cam(evidence.features, gradients), expected, atol=1e-6)


def test_heat_is_zero_outside_the_extent_and_peaks_at_one(rng):
    drawn = heat(make_evidence(rng), 0, height=10, width=14)
    assert drawn.shape == (10, 14)
    assert drawn.max() == pytest.approx(1)
    assert drawn.min() == 0
    outside = ~Box(2, 1, 12, 9).mask(10, 14)
    assert not drawn[outside].any()


def test_heat_of_nothing_is_zero(rng):
    evidence = make_evidence(rng)
    against = Evidence(
        evidence.scores, np.abs(evidence.features), -np.abs(evidence.head), evidence.bias, evidence.extent
    )
    assert not heat(against, 0, height=10, width=14).any()


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 40), st.integers(1, 40))
def test_upsample_agrees_with_torch(rows, columns, height, width):
    values = np.random.default_rng(rows * 7 + columns).normal(size=(rows, columns)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], (height, width), mode="bilinear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(upsample(values, height, width), theirs.numpy(), atol=1e-5)


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


def test_overlay_leaves_cold_places_gray(two_blobs, rng):
    rgb = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    drawn = overlay(rgb, two_blobs, boxes=[Box(12, 10, 25, 18)])
    assert drawn.shape == rgb.shape
    assert drawn.dtype == np.uint8
    assert len(set(drawn[19, 0].tolist())) == 1
    assert drawn[10, 12].tolist() == [255, 255, 255]
    assert drawn[3, 4].std() > 0
