"""Detections in a film: examination in several threads, and strict reading of their JSON lines."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganvas.errors import InputError
from ganvas.hardware.threads import using_threads
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detection, DetectionConfig
from ganvas.redaction.detections import FrameDetections, ManualBox, header_line, read_detections
from ganvas.redaction.examination import AHEAD, examine

SCORES = st.floats(0, 1).map(lambda score: round(score, 4))
BOXES = st.builds(
    lambda left, top, width, height: Box(left, top, left + width, top + height),
    st.integers(-50, 5000), st.integers(-50, 5000), st.integers(1, 900), st.integers(1, 900),
)  # fmt: skip
DETECTIONS = st.builds(Detection, BOXES, SCORES, st.sampled_from(["face", "plaque d'été", "車"]))
FILMS = st.lists(
    st.tuples(st.lists(DETECTIONS, max_size=3), st.sampled_from([None, "out of memory"]), st.booleans()), min_size=1
)


@given(FILMS)
def test_what_is_written_is_read_back(tmp_path_factory, rows) -> None:
    frames = []
    for number, (found, problem, numbered) in enumerate(rows):
        if numbered:
            found = [Detection(each.box, each.score, each.label, track) for track, each in enumerate(found, start=1)]
        frames.append(FrameDetections(frame=number, time=number / 16, detections=tuple(found), problem=problem))
    path = tmp_path_factory.mktemp("film") / "detections.jsonl"
    lines = [header_line(width=640, height=480, detect=["faces"]), *(frame.as_line() for frame in frames)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    detections = read_detections(path)
    assert list(detections.frames()) == frames
    assert (detections.count, detections.width, detections.height) == (len(rows), 640, 480)
    assert detections.last_track == max((each.track or 0 for frame in frames for each in frame.detections), default=0)


def write(path, *records):
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in records))
    return path


FRAME = {"frame": 0, "time": 0.0, "boxes": []}
FACE = {"label": "face", "box": [1, 2, 3, 4]}


def test_a_file_written_by_hand(tmp_path) -> None:
    """Blank lines, fractions, no scores, a box for a time span anywhere; edges are rounded outward."""
    path = write(
        tmp_path / "d.jsonl",
        {**FRAME, "boxes": [{"label": "face", "box": [1.5, 2, 3.2, 4]}]},
        "",
        {"start": 1, "end": 2.5, "box": [0, 0, 10, 10]},
        {"frame": 1, "time": 1, "boxes": [], "problem": "by hand: cover all"},
    )
    detections = read_detections(path)
    assert detections.manual == (ManualBox(start=1.0, end=2.5, box=(0.0, 0.0, 10.0, 10.0)),)
    first, second = detections.frames()
    assert first.detections == (Detection(Box(1, 2, 4, 4), 1.0, "face"),)
    assert second.problem == "by hand: cover all"
    detections.require_fit(count=2, width=64, height=48)
    alone = read_detections(write(tmp_path / "m.jsonl", {"start": 1, "end": 2, "box": [0, 0, 10, 10]}))
    assert alone.count == 0
    alone.require_fit(count=99, width=64, height=48)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([], "is empty"),
        (["{"], "line 1: not JSON: expecting property name .*, at character 2; expected"),
        ([FRAME, {"start": 1, "box": [0, 0, 1, 1]}], "line 2: missing key end; expected"),
        ([FRAME, {"start": 1, "end": 2, "box": [0, 0, 1, 1], "color": 1}], "line 2: unknown key color; known keys"),
        ([FRAME, "[]"], "line 2: .*expected an object"),
        ([FRAME, {"frame": 2, "time": 1, "boxes": []}], "line 2: frame 2, expected 1; each frame needs a line"),
        ([FRAME, FRAME], "line 2: frame 0, expected 1"),
        ([{**FRAME, "time": 2}, {"frame": 1, "time": 1, "boxes": []}], "line 2: time 1.0 is before 2.0"),
        ([{"frame": 0, "boxes": []}], "line 1: .*missing key time"),
        ([{**FRAME, "box": []}], "line 1: .*unknown key box"),
        ([{**FRAME, "time": float("nan")}], "line 1: time nan"),
        ([{**FRAME, "boxes": [{"label": "face", "box": [1, 2, 3]}]}], "line 1: .*expected 4 values, got 3"),
        ([{**FRAME, "boxes": [{"label": "face", "box": [3, 2, 1, 4]}]}], "line 1: box .* is empty"),
        ([{**FRAME, "boxes": [{"label": "face", "box": [1, 2, float("inf"), 4]}]}], "line 1: .*not finite"),
        ([{**FRAME, "boxes": [{**FACE, "score": 1.5}]}], "line 1: score 1.5"),
        ([{**FRAME, "boxes": [{**FACE, "track": 0}]}], "line 1: track 0: track numbers start at 1"),
        ([{**FRAME, "boxes": [{**FACE, "track": 2}, {**FACE, "track": 2}]}], "line 1: track 2 has two boxes"),
        ([{"start": 2, "end": 1, "box": [0, 0, 1, 1]}], "line 1: .*with start <= end"),
        ([{"start": 0, "end": 1, "box": [0, 0, 0, 1]}], "line 1: .*is empty"),
        ([FRAME, {"width": 64, "height": 48}], "line 2: the size of the film must be the first line"),
    ],
)
def test_errors_name_file_and_line(tmp_path, records, problem) -> None:
    path = write(tmp_path / "d.jsonl", *records)
    with pytest.raises(InputError, match=problem) as caught:
        read_detections(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.count("line ") <= 1
    assert not any(name in message for name in ("ManualBox", "Entry", "Header"))


def test_a_box_that_covers_nothing_is_named(tmp_path) -> None:
    for box, problem in (
        (
            {"start": 3, "end": 9, "box": [0, 0, 9, 9]},
            r"from 3 to 9 s contains no frame: the film has frames from 0 to 0",
        ),
        ({"start": -2, "end": -1, "box": [0, 0, 9, 9]}, "from -2 to -1 s contains no frame"),
        ({"start": 0.05, "end": 0.06, "box": [0, 0, 9, 9]}, r"from 0\.05 to 0\.06 s contains no frame"),
        ({"start": 0, "end": 1, "box": [64, 0, 90, 9]}, r"box \[64, 0, 90, 9\] is outside .* 64 x 48 pixels"),
        ({**FRAME, "boxes": [{"label": "face", "box": [0, 48, 9, 50]}]}, "frame 0: the box .* is outside"),
    ):
        detections = read_detections(write(tmp_path / "d.jsonl", box))
        with pytest.raises(InputError, match=problem):
            detections.require_reach([0.0, 0.04, 0.08], width=64, height=48)
    partly = {"start": 0.08, "end": 99, "box": [-5, -5, 900, 900]}
    read_detections(write(tmp_path / "d.jsonl", partly)).require_reach([0.0, 0.04, 0.08], width=64, height=48)


def test_a_line_without_an_end_is_not_read_whole(tmp_path, monkeypatch) -> None:
    from ganvas.redaction import detections

    monkeypatch.setattr(detections, "LONGEST_LINE", 1 << 10)
    with pytest.raises(InputError, match="line 1: is longer"):
        read_detections(write(tmp_path / "d.jsonl", " " * 2000))


def test_detections_of_another_film_are_refused(tmp_path) -> None:
    header = header_line(width=64, height=48, detect=["faces"])
    detections = read_detections(write(tmp_path / "d.jsonl", header, FRAME))
    with pytest.raises(InputError, match="64 x 48 pixels, this one has 48 x 64"):
        detections.require_fit(count=1, width=48, height=64)
    with pytest.raises(InputError, match="1 frames, but the film has 2"):
        detections.require_fit(count=2, width=64, height=48)


class Counting:
    """Detector whose box is at the frame's level; it fails on level 5 and counts the frames being examined."""

    name = "counting"

    def __init__(self):
        self.lock, self.order = threading.Lock(), []

    def detect(self, rgb, *, min_score=None):
        level = int(rgb[0, 0, 0])
        with self.lock:
            self.order.append(level)
        if level == 5:
            raise MemoryError
        return [Detection(Box(level, 0, level + 1, 1), 0.5, "thing")]


def test_as_many_frames_at_once_as_threads_are_given() -> None:
    """Two frames meet at a barrier only if both are being examined; one thread examines one at a time."""
    at_once, most, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(2, timeout=60)

    class Meeting(Counting):
        def detect(self, rgb, *, min_score=None):
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            if wanted == 2:
                barrier.wait()
            with lock:
                at_once[0] -= 1
            return []

    for wanted in (2, 1):
        most[0] = 0
        frames = ((number, number / 25, Picture(np.zeros((4, 4, 3), np.uint8))) for number in range(4))
        with using_threads(wanted):
            list(examine(frames, [Meeting()], DetectionConfig()))
        assert most[0] == wanted


def test_frames_are_read_ahead_for_the_allowed_cores(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0}, raising=False)
    frames = iter([(number, number / 25, Picture(np.zeros((4, 24, 3), np.uint8))) for number in range(20)])
    next(examine(frames, [Counting()], DetectionConfig()))
    assert len(list(frames)) == 20 - (AHEAD + 1)


def test_frames_are_examined_in_order_and_a_failure_is_told() -> None:
    read = []

    def frames():
        for number in range(20):
            read.append(number)
            yield number, number / 25, Picture(np.full((4, 24, 3), number, np.uint8))

    detector, found = Counting(), []
    for frame in examine(frames(), [detector], DetectionConfig(), workers=3):
        found.append(frame)
        assert len(read) - len(found) <= 2 * 3 + 1  # no more frames than that are held
    assert [frame.frame for frame in found] == list(range(20))
    assert [frame.time for frame in found] == [number / 25 for number in range(20)]
    assert sorted(detector.order) == list(range(20))
    assert [frame.frame for frame in found if frame.problem] == [5]
    assert found[5].problem == "MemoryError"
    assert all(frame.detections[0].box.left == frame.frame for frame in found if not frame.problem)
