"""Zebras of horse2zebra: they are recognized and located."""

import json
from pathlib import Path

import numpy as np
import pytest

from ganvas.image.files import read_image
from ganvas.image.picture import Box
from ganvas.localization import class_index, heat, load_classifier
from ganvas.metrics.localization import boxes_mask, centered_gaussian, energy_inside

pytestmark = pytest.mark.realdata
BOXES = Path(__file__).parents[2] / "benchmarks" / "zebra_boxes.json"


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("imagenet")


def test_zebras_are_zebras(real_data, classifier):
    folder = real_data / "horse2zebra" / "testB"
    zebra = class_index(classifier, "zebra")
    scores = [classifier.evidence(read_image(file).as_rgb8()).scores[zebra] for file in sorted(folder.iterdir())[:20]]
    assert np.median(scores) > 0.85


def test_energy_beats_the_centered_gaussian(real_data, classifier):
    """On pictures with something to locate: boxes under half of the area."""
    truth = json.loads(BOXES.read_text())["boxes"]
    zebra = class_index(classifier, "zebra")
    gains = []
    for name, corners in list(truth.items())[:24]:
        rgb = read_image(real_data / "horse2zebra" / "testB" / name).as_rgb8()
        height, width = rgb.shape[:2]
        mask = boxes_mask([Box(*box) for box in corners], height, width)
        if mask.mean() < 0.5:
            found = heat(classifier.dense_evidence(rgb), zebra, height=height, width=width)
            gains.append(
                energy_inside(found, mask) - energy_inside(centered_gaussian(height, width, spread=0.25), mask)
            )
    assert len(gains) >= 8
    assert np.mean(gains) > 0.12
