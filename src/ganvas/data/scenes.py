"""Cut detection, and windows of neighboring frames that never cross a cut.

A cut between two frames is a function of these two frames only: both the colors and the layout must change. A reader
that starts in the middle of a film therefore finds the same cuts. A missed cut merely joins two scenes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.image.picture import NATURAL_RANGE, Picture
from ganvas.video import Frame

__all__ = ["Sketch", "is_cut", "normalized", "sketch", "windows"]

SIDE = 64
"""Rows and columns of the thumbnail of a frame."""
LEVELS = 8
"""Levels of a channel in the histogram of colors."""
MIN_COLOR_CHANGE = 0.2
"""Share of the pixels that change their color at a cut: within scenes of the test films at most 0.15."""
MIN_LAYOUT_CHANGE = 0.5
"""1 - correlation of the thumbnails at a cut: 0.78 and more at cuts of the test films."""


@dataclass(frozen=True, eq=False)
class Sketch:
    """Properties of a frame that reveal a cut.

    Attributes:
        histogram: (512,) shares of the pixels by color.
        layout: (1024,) gray thumbnail, mean 0 and norm 1.
    """

    histogram: NDArray[np.float64]
    layout: NDArray[np.float32]


def sketch(picture: Picture) -> Sketch:
    """Return the sketch of a frame."""
    rows, columns = (np.linspace(0, side - 1, SIDE).astype(int) for side in (picture.height, picture.width))
    few = picture.color[rows[:, None], columns].astype(np.float32) / NATURAL_RANGE[picture.spec.dtype][1]
    few = np.broadcast_to(few[..., :1], (SIDE, SIDE, 3)) if few.shape[2] < 3 else few[..., :3]
    levels = np.clip((few * LEVELS).astype(int), 0, LEVELS - 1)
    colors = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]
    gray = few.mean(axis=2).reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3)).ravel()
    return Sketch(np.bincount(colors.ravel(), minlength=LEVELS**3) / colors.size, normalized(gray))


def normalized(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values shifted to mean 0 and scaled to norm 1; zeros if all are equal."""
    centered = values - values.mean()
    unit: NDArray[np.float32] = centered / max(float(np.linalg.norm(centered)), 1e-6)
    return unit


def is_cut(before: Sketch, after: Sketch) -> bool:
    """Return whether a new scene begins with the second of two successive frames."""
    moved = np.abs(before.histogram - after.histogram).sum() / 2
    return bool(moved >= MIN_COLOR_CHANGE and 1 - float(before.layout @ after.layout) >= MIN_LAYOUT_CHANGE)


def windows(frames: Iterable[Frame], count: int) -> Iterator[tuple[Frame, tuple[Picture, ...]]]:
    """Yield each frame with a window of `count` pictures, its own in the middle.

    At the ends of the film and at cuts the nearest frame of the scene is repeated. `count` // 2 frames are read ahead.

    Args:
        frames: successive frames, as `ganvas.video.read_video` yields them.
        count: an odd number.
    """
    if count == 1:
        yield from ((frame, (frame.picture,)) for frame in frames)
        return
    half = count // 2
    held, scene, before = deque[tuple[int, Frame]](), 0, None
    place = 0  # index of the next frame to yield within the buffer
    for frame in frames:
        now = sketch(frame.picture)
        scene, before = scene + (before is not None and is_cut(before, now)), now
        held.append((scene, frame))
        if len(held) > place + half:
            yield _window(held, place, half)
            place += 1
        if place > half:
            held.popleft()
            place -= 1
    for last in range(place, len(held)):
        yield _window(held, last, half)


def _window(held: deque[tuple[int, Frame]], place: int, half: int) -> tuple[Frame, tuple[Picture, ...]]:
    scene, frame = held[place]
    same = [index for index, (other, _) in enumerate(held) if other == scene]
    nearest = (min(max(place + offset, same[0]), same[-1]) for offset in range(-half, half + 1))
    return frame, tuple(held[index][1].picture for index in nearest)
