"""Hand-drawn faces of the film benchmark, and its accuracy."""

from __future__ import annotations

import json

import numpy as np
from benchmarks.film_redaction import FACES, accuracy

from ganvas.image.picture import Box

SIZES = {"carphone.mp4": (144, 176, 120), "bikes.mp4": (272, 640, 250)}


def test_faces_are_boxes_inside_every_tenth_frame_and_more() -> None:
    films = json.loads(FACES.read_text(encoding="utf-8"))
    assert films.pop("note")
    assert films.keys() == SIZES.keys()
    for name, (height, width, count) in SIZES.items():
        assert {int(number) for number in films[name]} >= set(range(0, count, 10))
        assert max(map(int, films[name])) < count
        for boxes in films[name].values():
            assert all(Box(*box).clip(height, width) == Box(*box) for box in boxes)


def test_accuracy_counts_frames_whose_faces_are_all_covered() -> None:
    def regions(number):
        return Box(0, 0, 10, 10 - number).mask(20, 20)

    faces = {"0": [[0, 0, 10, 10], [2, 2, 4, 4]], "5": [[0, 0, 10, 10]], "9": []}
    found = accuracy(faces, regions)
    assert (found["frames"], found["covered"], found["least"]) == (2, 1, 0.5)
    assert np.isclose(found["needless"], 10 / 400 / 3, atol=1e-4)
