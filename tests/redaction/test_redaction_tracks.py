"""Tracks over the frames of a film, and their covers: properties of random films, and examples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganvas.errors import ConfigError
from ganvas.image.cover import Cover, cover_picture
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import Detection, DetectionConfig, with_margin
from ganvas.redaction.detections import FrameDetections, ManualBox, read_detections
from ganvas.redaction.film_covers import cover_frame, plan_covers
from ganvas.redaction.tracks import Tracker, TrackingConfig

HEIGHT, WIDTH = 120, 160
ALL = DetectionConfig(margin=0.0)


def contains(outer, inner):
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and outer.right >= inner.right
        and outer.bottom >= inner.bottom
    )


def area(box):
    return (box.right - box.left) * (box.bottom - box.top)


def track(frames, **settings):
    """Return the tracker, and the frames with track numbers."""
    tracker = Tracker(TrackingConfig(**settings))
    return tracker, [tracker.add(frame) for frame in frames]


def film(boxes, *, rate=25.0, label="face"):
    """Return frames in which these boxes (or None) were detected one after the other."""
    return [
        FrameDetections(
            frame=number,
            time=number / rate,
            detections=() if box is None else (Detection(box, 0.9, label),),
        )
        for number, box in enumerate(boxes)
    ]


def moving(count, *, start=(20, 20), step=(2, 1), side=16):
    return [
        Box(
            start[0] + step[0] * n, start[1] + step[1] * n, start[0] + step[0] * n + side, start[1] + step[1] * n + side
        )
        for n in range(count)
    ]


@st.composite
def films(draw):
    """Frames at uneven times with up to three objects that move, jitter, change their size and are often missed."""
    count = draw(st.integers(2, 40))
    steps = draw(st.lists(st.sampled_from([0.01, 0.04, 0.1]), min_size=count, max_size=count))
    times = list(itertools.accumulate(steps, initial=draw(st.sampled_from([0.0, 1.37]))))
    found = [[] for _ in range(count)]
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(st.integers(20, 120)), draw(st.integers(20, 90))
        dx, dy = draw(st.integers(-4, 4)), draw(st.integers(-4, 4))
        seen = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        sides = draw(st.lists(st.integers(6, 18), min_size=count, max_size=count))
        label = draw(st.sampled_from(["face", "plate"]))
        for n in range(count):
            left, top = x + dx * n, y + dy * n
            if seen[n] and 0 <= left < WIDTH - 18 and 0 <= top < HEIGHT - 18:
                found[n].append(Detection(Box(left, top, left + sides[n], top + sides[n]), 0.8, label))
    failed = draw(st.sets(st.integers(0, count - 1), max_size=2))
    return [
        FrameDetections(frame=n, time=times[n], problem="failed")
        if n in failed
        else FrameDetections(frame=n, time=times[n], detections=tuple(found[n]))
        for n in range(count)
    ]


@given(films(), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.0, 0.2]))
@settings(max_examples=50)
def test_covers_of_any_film(frames, hold, margin) -> None:
    tracker, tracked = track(frames, hold=hold)
    config = DetectionConfig(margin=margin)
    plan = plan_covers(tracker, config, height=HEIGHT, width=WIDTH)
    at = [plan.at(frame.frame, frame.time) for frame in frames]
    by_track = {}
    for frame in tracked:
        assert at[frame.frame].whole == (frame.problem is not None)
        for detection in frame.detections:
            by_track.setdefault(detection.track, []).append((frame, with_margin(detection.box, margin)))

    for number, found in by_track.items():
        covers = {n: each for n, covers in enumerate(at) for each in covers.covers if each.track == number}
        first, last = found[0][0].time, found[-1][0].time
        for frame in frames:  # held on both sides, and without a gap
            if first - hold <= frame.time <= last + hold and frame.problem is None:
                assert frame.frame in covers
        for frame, box in found:  # every detection is inside the cover of its track
            assert contains(covers[frame.frame].box, box.clip(HEIGHT, WIDTH))
        for (one, before), (two, after) in itertools.pairwise(found):  # covers do not shrink between two detections
            for n in range(one.frame + 1, two.frame):
                if frames[n].problem is None:
                    for box, at_frame in ((before, one.frame), (after, two.frame)):
                        assert contains(covers[n].box, box.clip(HEIGHT, WIDTH))
                        assert area(covers[n].box) >= area(covers[at_frame].box)


@given(films())
@settings(max_examples=50)
def test_each_detection_has_a_track_of_its_label_and_no_track_has_two_in_a_frame(frames) -> None:
    tracker, tracked = track(frames)
    labels = {each.number: each.label for each in tracker.tracks}
    for before, after in zip(frames, tracked, strict=True):
        numbers = [detection.track for detection in after.detections]
        assert len(set(numbers)) == len(numbers)
        assert [labels[number] for number in numbers] == [detection.label for detection in before.detections]
    assert sum(len(each.frames) for each in tracker.tracks) == sum(len(frame.detections) for frame in frames)


@given(films(), st.data())
@settings(max_examples=25)
def test_a_tracker_goes_on_from_its_own_lines(tmp_path_factory, frames, data) -> None:
    """Lines written before an interruption are read back, and the result is that of an uninterrupted run."""
    _, whole = track(frames)
    done = data.draw(st.integers(1, len(frames)))
    path = tmp_path_factory.mktemp("film") / "detections.jsonl"
    path.write_text("".join(frame.as_line() + "\n" for frame in whole[:done]))
    written = read_detections(path)
    tracker = Tracker(numbered=written.last_track)
    resumed = [tracker.add(frame) for frame in itertools.chain(written.frames(), frames[done:])]
    assert [frame.as_line() for frame in resumed] == [frame.as_line() for frame in whole]


@given(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    st.lists(st.booleans(), min_size=20, max_size=20).filter(lambda seen: sum(seen) >= 5),
)
def test_the_anchor_moves_with_a_steady_object(step, seen) -> None:
    """The grid keeps its position on the object, whether it was detected in a frame or not."""
    boxes = moving(20, start=(70, 60), step=step, side=32)
    tracker, _ = track(film([box if there else None for box, there in zip(boxes, seen, strict=True)]))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    first, last = seen.index(True), 19 - seen[::-1].index(True)
    offsets, sizes = set(), set()
    for n in range(first, last + 1):
        (cover,) = plan.at(n, n / 25).covers
        offsets.add((cover.anchor[0] - boxes[n].left, cover.anchor[1] - boxes[n].top))
        sizes.add(cover.size)
    assert len(sizes) == 1
    for values in zip(*offsets, strict=True):
        assert max(values) - min(values) <= 1  # rounding to pixels


def test_a_cover_is_held_for_half_a_second_and_no_longer() -> None:
    boxes = [None] * 20 + [Box(50, 50, 60, 60)] * 5 + [None] * 20
    tracker, _ = track(film(boxes))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    covered = [bool(plan.at(n, n / 25).covers) for n in range(45)]
    assert covered == [False] * 8 + [True] * (12 + 5 + 12) + [False] * 8


def test_a_held_cover_follows_the_motion_and_keeps_the_place() -> None:
    boxes = moving(10, start=(60, 40), step=(3, 0))
    tracker, _ = track(film([None] * 5 + boxes + [None] * 5))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    for n, ahead in ((4, -1), (0, -5), (15, 1), (19, 5)):
        (cover,) = plan.at(n, n / 25).covers
        end = boxes[0] if ahead < 0 else boxes[-1]
        assert contains(cover.box, end)
        assert contains(cover.box, Box(end.left + 3 * ahead, end.top, end.right + 3 * ahead, end.bottom))


def test_a_gap_is_spanned_and_two_objects_keep_their_tracks_when_they_cross() -> None:
    """Both move uniformly, so motion distinguishes them where they overlap."""
    one, two = moving(30, start=(20, 30), step=(4, 0)), moving(30, start=(136, 34), step=(-4, 0))
    frames = [
        FrameDetections(
            frame=n,
            time=n / 25,
            detections=() if 10 <= n < 14 else (Detection(two[n], 0.9, "face"), Detection(one[n], 0.9, "face")),
        )
        for n in range(30)
    ]
    tracker, tracked = track(frames)
    assert [len(each.frames) for each in tracker.tracks] == [26, 26]
    assert {tuple(found.track for found in frame.detections) for frame in tracked} == {(1, 2), ()}
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    boxes = [cover.box for cover in plan.at(12, 12 / 25).covers]
    assert contains(boxes[0], two[12])
    assert contains(boxes[1], one[12])


def test_a_long_absence_ends_a_track_and_a_label_is_never_mixed() -> None:
    box = Box(50, 50, 60, 60)
    tracker, _ = track(film([box] + [None] * 30 + [box]))
    assert len(tracker.tracks) == 2
    tracker, _ = track(film([box] + [None] * 30 + [box]), gap=2.0)
    assert len(tracker.tracks) == 1
    frames = [film([box], label=label)[0] for label in ("face", "plate")]
    tracker, _ = track([frames[0], FrameDetections(frame=1, time=0.04, detections=frames[1].detections)])
    assert [each.label for each in tracker.tracks] == ["face", "plate"]


def test_numbers_given_by_a_person_join_what_they_name() -> None:
    here, there = Detection(Box(10, 10, 20, 20), 0.9, "face", 7), Detection(Box(90, 90, 100, 100), 0.9, "face", 7)
    loose = Detection(Box(10, 10, 20, 20), 0.9, "face")
    tracker = Tracker(numbered=7)
    assert tracker.add(FrameDetections(frame=0, time=0, detections=(here,))).detections[0].track == 7
    later = tracker.add(FrameDetections(frame=1, time=5, detections=(loose, there)))
    assert [found.track for found in later.detections] == [8, 7]
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    assert {cover.track for cover in plan.at(1, 5.0).covers} == {7, 8}


def test_frames_that_were_left_out_are_covered_whole() -> None:
    tracker = Tracker()
    tracker.add(FrameDetections(frame=0, time=0))
    tracker.add(FrameDetections(frame=2, time=0.08))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    assert [plan.at(n, n / 25).whole for n in range(4)] == [False, True, False, True]
    assert plan.at(1, 0.04).region(HEIGHT, WIDTH).all()


def test_manual_boxes_cover_their_time_span_and_kept_boxes_stay_bare() -> None:
    config = DetectionConfig(keep=((0, 0, 50, HEIGHT),))
    manual = [ManualBox(start=1.0, end=2.0, box=(40.5, 10, 60, 30))]
    plan = plan_covers(Tracker(), config, height=HEIGHT, width=WIDTH, manual=manual)
    assert [bool(plan.at(n, time).covers) for n, time in enumerate((0.99, 1.0, 2.0, 2.01))] == [
        False,
        True,
        True,
        False,
    ]
    region = plan.at(1, 1.0).region(HEIGHT, WIDTH)
    assert region.sum() == 10 * 20
    assert not region[:, :50].any()
    wider = plan.at(0, 0.0).widened([Box(100, 100, 110, 110), Box(-20, 0, -10, 5)], HEIGHT, WIDTH)
    assert [cover.box for cover in wider.covers] == [Box(98, 98, 112, 112)]


@pytest.fixture
def noise():
    return Picture(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.mark.parametrize("style", ["solid", "mosaic", "blur"])
def test_a_frame_is_covered_inside_the_mask_and_nowhere_else(noise, style) -> None:
    tracker, _ = track(film([Box(-5, 50, 30, 80)] * 3))
    covers = plan_covers(tracker, DetectionConfig(keep=((20, 0, 25, 200),)), height=HEIGHT, width=WIDTH).at(1, 0.04)
    covered, mask = cover_frame(noise, covers, Cover(style=style))
    assert (mask >= covers.region(HEIGHT, WIDTH)).all()
    assert not mask[:, 20:25].any()
    assert (covered.pixels[~mask] == noise.pixels[~mask]).all()
    assert (covered.pixels[mask] != noise.pixels[mask]).any(axis=-1).mean() > 0.95


@pytest.mark.parametrize("style", ["solid", "mosaic", "blur"])
def test_a_frame_is_covered_as_the_whole_picture_would_be(noise, style) -> None:
    """Only a window around each cover is processed, with the same result."""
    tracker, _ = track(film([Box(-5, 50, 30, 81)] * 3))
    covers = plan_covers(tracker, DetectionConfig(keep=((20, 0, 25, 200),)), height=HEIGHT, width=WIDTH).at(1, 0.04)
    covered, mask = cover_frame(noise, covers, Cover(style=style, blocks=4 if style == "mosaic" else None))
    (each,) = covers.covers
    sized = {"solid": {}, "mosaic": {"block_size": -(-max(each.size) // 4)}, "blur": {"sigma": max(each.size) / 8}}
    anchor = each.anchor
    if style == "mosaic":
        side = sized[style]["block_size"]
        anchor = tuple(at + (-(-size // side) % 2) * (side // 2) for at, size in zip(anchor, each.size, strict=True))
    whole = cover_picture(noise, mask, Cover(style=style, **sized[style]), origin=anchor)
    assert (covered.pixels == whole.pixels).all()


def test_a_mosaic_shows_the_same_blocks_wherever_the_object_moves(noise) -> None:
    """The content of each block is the same in every frame, so fusing frames reveals nothing more."""
    object_ = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    boxes = moving(12, start=(40, 30), step=(3, 2), side=24)
    tracker, _ = track(film([box if n % 3 else None for n, box in enumerate(boxes)]))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    seen = []
    for n in range(1, 12):
        frame = noise.pixels.copy()
        frame[boxes[n].top : boxes[n].bottom, boxes[n].left : boxes[n].right] = object_
        covered, mask = cover_frame(Picture(frame), plan.at(n, n / 25), Cover(style="mosaic", blocks=4))
        inside = covered.pixels[boxes[n].top : boxes[n].bottom, boxes[n].left : boxes[n].right]
        assert mask[boxes[n].top : boxes[n].bottom, boxes[n].left : boxes[n].right].all()
        lines = np.flatnonzero((np.diff(inside.astype(int), axis=1) != 0).any(axis=(0, 2)))
        seen.append(tuple(lines))
    assert len(set(seen)) == 1  # the grid crosses the object at the same positions


def test_a_trembling_detector_moves_neither_the_number_nor_the_size_of_blocks(noise) -> None:
    tremble = np.random.default_rng(2).integers(-2, 3, (12, 4)).tolist()
    boxes = [Box(50 + a, 40 + b, 80 + c, 80 + d) for a, b, c, d in tremble]
    tracker, _ = track(film([box if n % 4 else None for n, box in enumerate(boxes)]))
    plan = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH)
    shapes = set()
    for n in range(1, 12):
        if n % 4:
            mask = cover_frame(noise, plan.at(n, n / 25), Cover(style="mosaic", blocks=4))[1]
            shapes.add((int(mask.any(axis=0).sum()), int(mask.any(axis=1).sum())))
    assert len(shapes) == 1
    across, down = shapes.pop()
    assert down <= 56  # four blocks of the largest cover
    assert across < down


def test_whole_frames_are_filled(noise) -> None:
    tracker = Tracker()
    tracker.add(FrameDetections(frame=0, time=0, problem="out of memory"))
    covers = plan_covers(tracker, ALL, height=HEIGHT, width=WIDTH).at(0, 0.0)
    covered, mask = cover_frame(noise, covers, Cover(style="mosaic", color=(1.0,)))
    assert mask.all()
    assert (covered.pixels == 255).all()


@pytest.mark.parametrize("settings", [{"hold": -0.1}, {"hold": float("nan")}, {"gap": 1e9}])
def test_settings_out_of_range(settings) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        TrackingConfig(**settings)
