"""Covers over the tracks of a film: held before and after detections, without gaps, with mosaic grids that move along.

A cover begins before the first detection of a track and ends after its last, spans gaps between detections, and is
never smaller there than at the detections on both sides. Planning uses boxes only, without any frame in memory.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ganvas.image.cover import KERNEL_REACH, Cover, cover_picture
from ganvas.image.picture import Box, Picture
from ganvas.localization.detectors import DetectionConfig, region_of, with_margin
from ganvas.redaction.detections import TIME_DIGITS, ManualBox
from ganvas.redaction.redact import DEFAULT_BLOCKS
from ganvas.redaction.tracks import Edges, Track, Tracker, centers_of

__all__ = ["CoverPlan", "FrameCovers", "TrackCover", "cover_frame", "plan_covers", "whole_blocks"]

Mask = NDArray[np.bool_]

FIT = 0.4
"""Seconds at either end of a track from which its velocity is estimated, to extrapolate while the cover is held."""
GROWTH = 0.5
"""Growth on each side per second to the nearest detection, as a share of the box's sides, for the uncertainty of its
position."""
FARTHEST = 1.0
"""Largest extrapolated motion of a held cover, in sides of the box."""
SMOOTHING = 3
"""Number of detections on either side over which the anchor of a grid is averaged, so that it does not jitter."""


@dataclass(frozen=True)
class TrackCover:
    """Cover of a track in a frame.

    Attributes:
        track: number of the track; 0 for a manual box.
        label: class of the covered object.
        box: box inside the frame.
        anchor: (x, y) of its center, which moves with the object; the grid of a mosaic is centered on it.
        size: (across, down) of the largest cover of a detection of the track, which determines the size of blocks.
    """

    track: int
    label: str
    box: Box
    anchor: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class FrameCovers:
    """Covers of a frame.

    Attributes:
        whole: whether the frame is covered completely, because it could not be examined.
        covers: covers otherwise.
        config: its kept boxes are not covered, unless the frame is covered completely.
    """

    whole: bool
    covers: tuple[TrackCover, ...]
    config: DetectionConfig

    def region(self, height: int, width: int) -> Mask:
        """Return the mask (height, width) bool of the covered pixels."""
        if self.whole:
            return np.ones((height, width), dtype=bool)
        return region_of([cover.box for cover in self.covers], self.config, height, width)

    def widened(self, boxes: Iterable[Box], height: int, width: int) -> FrameCovers:
        """Return the covers with additional boxes of a frame of (height, width), such as those of a verification."""
        more = [
            _fixed(clipped, "widened")
            for box in boxes
            if (clipped := with_margin(box, self.config.margin).clip(height, width))
        ]
        return replace(self, covers=(*self.covers, *more))


def plan_covers(
    tracker: Tracker, config: DetectionConfig, *, height: int, width: int, manual: Sequence[ManualBox] = ()
) -> CoverPlan:
    """Plan the covers of all frames that a tracker has received.

    Args:
        tracker: tracker of every frame of the film.
        config: settings of margin and kept boxes.
        height: height of the frames, in pixels.
        width: width of the frames, in pixels.
        manual: the user's boxes for spans of time.
    """
    paths = [_Path(track, tracker.config.hold, config.margin) for track in tracker.tracks]
    return CoverPlan(paths, bytes(tracker.examined), config, (height, width), manual)


class CoverPlan:
    """Covers of every frame of a film as boxes; created by `plan_covers`."""

    def __init__(
        self,
        paths: Sequence[_Path],
        examined: bytes,
        config: DetectionConfig,
        size: tuple[int, int],
        manual: Sequence[ManualBox],
    ) -> None:
        self._examined, self._config, self._size, self._manual = examined, config, size, tuple(manual)
        self._by_second: dict[int, list[_Path]] = defaultdict(list)
        for path in paths:
            for second in range(math.floor(path.begin), math.floor(path.end) + 1):
                self._by_second[second].append(path)

    def at(self, frame: int, time: float) -> FrameCovers:
        """Return the covers of a frame; a frame that was not examined is covered completely.

        If no frame was examined, only the user's boxes are covered.
        """
        if self._examined and not (frame < len(self._examined) and self._examined[frame]):
            return FrameCovers(True, (), self._config)
        time = round(time, TIME_DIGITS)
        covers = [
            path.at(frame, time) for path in self._by_second.get(math.floor(time), []) if path.begin <= time <= path.end
        ]
        covers += [_fixed(each.pixels(), each.label) for each in self._manual if each.start <= time <= each.end]
        clipped = [(cover, cover.box.clip(*self._size)) for cover in covers]
        inside = tuple(replace(cover, box=box) for cover, box in clipped if box is not None)
        return FrameCovers(False, inside, self._config)


class _Path:
    """Position and size of the cover of a track over time."""

    def __init__(self, track: Track, hold: float, margin: float) -> None:
        self.number, self.label = track.number, track.label
        self.frames, self.times = np.array(track.frames), np.array(track.times)
        self.begin, self.end = float(self.times[0]) - hold, float(self.times[-1]) + hold
        edges = np.array(track.edges, np.float64).reshape(-1, 4)
        sides = edges[:, 2:] - edges[:, :2]
        edges += margin * np.hstack([-sides, sides])
        self.anchors = _smoothed(centers_of(edges), self.times)
        reach = np.maximum(self.anchors - edges[:, :2], edges[:, 2:] - self.anchors)
        reach = np.ceil(_sliding_maximum(reach, self.times, hold) + 0.5)  # distance from the rounded anchor
        self.size = int(2 * reach[:, 0].max()), int(2 * reach[:, 1].max())
        self.edges = np.hstack([np.rint(self.anchors) - reach, np.rint(self.anchors) + reach])
        self.velocities = _velocity(edges[::-1], self.times[::-1]), _velocity(edges, self.times)

    def at(self, frame: int, time: float) -> TrackCover:
        """Return the cover at a frame and its time, which lies between begin and end."""
        index = int(np.searchsorted(self.frames, frame))
        if index < len(self.frames) and self.frames[index] == frame:
            edges = self.edges[index]
        elif 0 < index < len(self.frames):
            nearest = min(time - self.times[index - 1], self.times[index] - time)
            # The union contains any path between the two.
            edges = _after(_union(self.edges[index - 1], self.edges[index]), nearest)
        else:
            edges = self._held(time)
        anchor = [np.interp(time, self.times, self.anchors[:, axis]) for axis in (0, 1)] + self._shift(time)
        left, top, right, bottom = edges
        box = Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
        return TrackCover(self.number, self.label, box, (int(np.rint(anchor[0])), int(np.rint(anchor[1]))), self.size)

    def _held(self, time: float) -> Edges:
        """Return the edges before the first or after the last detection: its box and the extrapolated one, joined."""
        end = self.edges[0 if time <= self.times[0] else -1]
        passed = max(self.times[0] - time, time - self.times[-1])
        return _union(_after(end, passed), _after(end + np.tile(self._shift(time), 2), passed))

    def _shift(self, time: float) -> Edges:
        """Return the extrapolated motion (x, y) beyond the first or last detection; 0 between them."""
        passed = min(time - self.times[0], 0) or max(time - self.times[-1], 0)
        before = passed < 0
        end, velocity = self.edges[0 if before else -1], self.velocities[0 if before else 1]
        farthest = FARTHEST * (end[2:] - end[:2])
        return np.asarray(np.clip(velocity * passed, -farthest, farthest))


def cover_frame(picture: Picture, covers: FrameCovers, how: Cover) -> tuple[Picture, Mask]:
    """Cover a frame; return it and the mask (H, W) bool of the covered pixels.

    The grid of a mosaic is centered on each cover's anchor, and a track keeps the size of its blocks. Complete blocks
    are covered, beyond the box if necessary, so that no narrow block at an edge reveals more.

    Args:
        picture: the frame, of any depth.
        covers: see `CoverPlan.at`.
        how: the style, with 4 blocks if a mosaic has no number of blocks; a frame that is covered completely is filled
            with its color.
    """
    height, width = picture.height, picture.width
    if how.style == "mosaic" and how.blocks is None and how.block_size is None:
        how = replace(how, blocks=DEFAULT_BLOCKS)
    if covers.whole:
        everything = np.ones((height, width), dtype=bool)
        return cover_picture(picture, everything, Cover(style="solid", color=how.color)), everything
    pixels, covered = picture.pixels.copy(), np.zeros((height, width), dtype=bool)
    bare = region_of(covers.config.kept, DetectionConfig(), height, width)
    for each in covers.covers:
        box, origin, style = _styled(each, how)
        reach = math.ceil(KERNEL_REACH * style.sigma) if style.style == "blur" and style.sigma else 0
        window = Box(box.left - reach, box.top - reach, box.right + reach, box.bottom + reach).clip(height, width)
        if window is None:
            continue
        rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
        region = box.mask(height, width)[rows, columns] & ~bare[rows, columns]
        if region.any():  # only the window is copied and covered, because frames are large and covers are small
            part = replace(picture, pixels=pixels[rows, columns])
            local = origin[0] - window.left, origin[1] - window.top
            pixels[rows, columns] = cover_picture(part, region, style, origin=local).pixels
            covered[rows, columns] |= region
    return replace(picture, pixels=pixels), covered


def _styled(each: TrackCover, how: Cover) -> tuple[Box, tuple[int, int], Cover]:
    """Return the box to cover, the origin of the grid, and the style in pixels, which is constant along a track.

    The number of blocks around the anchor is that of the largest cover, so it is constant too.
    """
    if how.style == "solid":
        return each.box, each.anchor, how
    if how.style == "blur":
        return each.box, each.anchor, replace(how, sigma=how.blur_sigma(max(each.size)))
    side = how.block_side(max(each.size))
    odd = [math.ceil(size / side) % 2 for size in each.size]
    origin = each.anchor[0] + odd[0] * (side // 2), each.anchor[1] + odd[1] * (side // 2)
    return whole_blocks(each.box, origin, side), origin, replace(how, blocks=None, block_size=side)


def whole_blocks(box: Box, origin: tuple[int, int], size: int) -> Box:
    """Return the box grown to the lines of a grid through `origin`."""
    (x, y), corners = origin, (box.left, box.top, box.right, box.bottom)
    left, top = (at + math.floor((edge - at) / size) * size for at, edge in zip((x, y), corners[:2], strict=True))
    right, bottom = (at + math.ceil((edge - at) / size) * size for at, edge in zip((x, y), corners[2:], strict=True))
    return Box(left, top, right, bottom)


def _fixed(box: Box, label: str) -> TrackCover:
    """Return the cover of a box that does not move."""
    center = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    return TrackCover(0, label, box, center, (box.right - box.left, box.bottom - box.top))


def _union(one: Edges, other: Edges) -> Edges:
    """Return the smallest boxes (..., 4) that contain both."""
    return np.concatenate([np.minimum(one[..., :2], other[..., :2]), np.maximum(one[..., 2:], other[..., 2:])], axis=-1)


def _after(edges: Edges, seconds: float | Edges) -> Edges:
    """Return boxes (..., 4) grown for a number of seconds from the nearest detection."""
    reach = GROWTH * seconds * (edges[..., 2:] - edges[..., :2])
    return np.asarray(edges + np.concatenate([-reach, reach], axis=-1))


def _sliding_maximum(values: Edges, times: Edges, seconds: float) -> Edges:
    """Return for each detection the largest values (N, 2) within a number of seconds."""
    first, last = np.searchsorted(times, times - seconds), np.searchsorted(times, times + seconds, side="right")
    return np.stack([values[start:stop].max(axis=0) for start, stop in zip(first, last, strict=True)])


def _velocity(edges: Edges, times: Edges) -> Edges:
    """Return the velocity (x, y) at the end of a track: the slope of a line through its last detections."""
    near = np.abs(times - times[-1]) <= FIT
    if near.sum() < 3 or np.ptp(times[near]) == 0:
        return np.zeros(2)
    passed = times[near] - times[near].mean()
    return np.asarray(passed @ centers_of(edges)[near] / (passed @ passed))


def _smoothed(points: Edges, times: Edges) -> Edges:
    """Return points (N, 2), each on a line in time through its neighbors, as many before as after."""
    count, places = len(points), np.arange(len(points))
    reach = np.minimum(np.minimum(places, places[::-1]), SMOOTHING)
    offsets = np.arange(-SMOOTHING, SMOOTHING + 1)
    near = np.clip(places[:, None] + offsets, 0, count - 1)
    weights = (np.abs(offsets) <= reach[:, None]) / (2 * reach + 1)[:, None]
    passed = times[near] - times[:, None]
    mean_time, mean = (weights * passed).sum(axis=1), (weights[:, :, None] * points[near]).sum(axis=1)
    passed = weights * (passed - mean_time[:, None])
    spread = (passed * (times[near] - times[:, None])).sum(axis=1)
    slopes = (passed[:, :, None] * points[near]).sum(axis=1) / np.where(spread > 0, spread, 1)[:, None]
    return np.asarray(mean - slopes * mean_time[:, None])
