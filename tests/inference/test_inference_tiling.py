"""Padding at the right and bottom by mirroring, which keeps the grid of a mosaic in place, and tiled translation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.inference.tiling import pad_to_multiple, padded_size, translate_padded
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build


@pytest.mark.parametrize(
    ("size", "multiple", "padded"), [(286, 256, 512), (286, 4, 288), (64, 64, 64), (5, 8, 16), (1, 4, 16)]
)
def test_the_corner_stays_and_the_rest_is_mirrored(size: int, multiple: int, padded: int) -> None:
    ramp = np.arange(size, dtype=np.float32)
    row = pad_to_multiple(torch.from_numpy(ramp).expand(1, 1, size, size), multiple)
    assert row.shape == (1, 1, padded, padded)
    expected = np.pad(ramp, (0, padded - size), mode="reflect")
    np.testing.assert_array_equal(row[0, 0, 0].numpy(), expected)
    np.testing.assert_array_equal(row[0, 0, :, 0].numpy()[0], expected[0])


def test_a_size_off_the_multiple_changes_nothing_far_from_the_border() -> None:
    """Regression: padding on both sides moved the network's grid relative to the picture's."""
    torch.manual_seed(0)
    config = Pix2PixConfig(width=4, depth=2, norm="none", dropout=0.0, adversarial_weight=0.0)
    method = build(config, input_channels=1, output_channels=1, image_size=(64, 64))
    assert method.context is not None
    images = torch.rand(1, 1, 64, 64) * 2 - 1
    whole, cut = translate_padded(method, images), translate_padded(method, images[..., :61, :59])
    near = 59 - method.context - method.size_multiple
    torch.testing.assert_close(cut[..., :near, :near], whole[..., :near, :near])


@pytest.mark.parametrize(("size", "fixed", "padded"), [(47, 47, 47), (30, 47, 47), (50, 47, 52), (47, None, 48)])
def test_a_picture_within_the_only_size_of_a_network_is_padded_to_just_that(size, fixed, padded):
    assert padded_size(size, 4, fixed) == padded
