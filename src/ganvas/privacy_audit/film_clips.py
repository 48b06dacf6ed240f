"""Clips of a film for its privacy audit: gated frames, a region tracked by translation, and covers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate import admit
from ganvas.data.splits import evenly
from ganvas.errors import ConfigError
from ganvas.image.cover import Cover, cover
from ganvas.image.picture import Box
from ganvas.privacy_audit import AuditConfig
from ganvas.privacy_audit.film_result import FilmPlan
from ganvas.privacy_audit.fusion import Shift, displacement
from ganvas.redaction.detections import read_detections
from ganvas.redaction.film_covers import whole_blocks
from ganvas.video import FilmInfo, read_video

__all__ = ["Clip", "RegionOf", "clip_starts", "cover_clip", "follow", "read_clips", "region_of"]

Rgb = NDArray[np.uint8]
"""(H, W, 3)."""
LEAST_MARGIN = 32
"""Smallest margin around a region, in pixels."""
LEAST_FRAMES = 2
RegionOf = Callable[[int, float], Box | None]
"""Function from number and time of a frame to its region; None if there is none."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Consecutive frames, cropped to a window around a region.

    Attributes:
        first: number of the first frame.
        frames: (H, W, 3) each.
        corner: (left, top) of the window on the screen.
        reference: index of the frame to reconstruct.
        boxes: region in each frame, tracked in whole pixels, in pixels of the window.
        shifts: shift of the subject in each frame, from the original film.
    """

    first: int
    frames: list[Rgb]
    corner: tuple[int, int]
    reference: int
    boxes: list[Box]
    shifts: list[Shift]

    @property
    def region(self) -> Box:
        """Return the region in the reference frame."""
        return self.boxes[self.reference]

    def crop(self, picture: NDArray[np.uint8]) -> Rgb:
        """Return the region of a picture of the window."""
        box = self.region
        return np.ascontiguousarray(picture[box.top : box.bottom, box.left : box.right])


def region_of(config: AuditConfig, info: FilmInfo) -> RegionOf:
    """Return the function that locates the region: the box, the largest detection, or the middle half of each side.

    Raises:
        ConfigError: the box is outside the frame.
        InputError: the detections belong to another film.
    """
    height, width = info.height, info.width
    if config.detections is not None:
        held = read_detections(config.detections)
        held.require_fit(count=held.count, width=width, height=height)
        boxes = {frame.frame: [one.box for one in frame.detections] for frame in held.frames()}

        def largest(number: int, time: float) -> Box | None:
            manual = [one.pixels() for one in held.manual if one.start <= time <= one.end]
            clipped = [box.clip(height, width) for box in boxes.get(number, []) + manual]
            return max((box for box in clipped if box is not None), key=_area, default=None)

        return largest
    middle = Box(width // 4, height // 4, max(3 * width // 4, width // 4 + 1), max(3 * height // 4, height // 4 + 1))
    box = middle if config.box is None else Box(*config.box)
    if box.clip(height, width) != box:
        raise ConfigError(f"box {config.box} is outside frames of {width} x {height} pixels")
    return lambda *_: box


def _area(box: Box) -> int:
    return (box.right - box.left) * (box.bottom - box.top)


def clip_starts(config: AuditConfig, info: FilmInfo) -> list[int]:
    """Return the first frame of each clip, evenly spaced over the film, according to the length in its header."""
    total = info.num_frames or round((info.duration or 0) * float(info.rate or 0))
    last = max(total - config.frames, 0)
    return evenly(last + 1, config.clips)


def read_clips(
    config: AuditConfig, info: FilmInfo, region: RegionOf, starts: Sequence[int], left_out: dict[str, str]
) -> Iterator[Clip]:
    """Yield the clips in which the region can be tracked; each frame that is read passes the content gate."""
    for start in starts:
        name = f"frames from {start:,}"
        clip = _read_clip(config, info, region, start)
        if clip is None:
            left_out[name] = "no region in its middle frame, or no frame"
        elif len(clip.frames) < LEAST_FRAMES:
            left_out[name] = (
                f"the region is completely visible in {len(clip.frames)} frames, but {LEAST_FRAMES} are needed"
            )
        else:
            yield clip


def _read_clip(config: AuditConfig, info: FilmInfo, region: RegionOf, start: int) -> Clip | None:
    """Read a clip, cropped to a window around the region of its middle frame; None if there is no region."""
    num_frames = config.frames if info.num_frames is None else min(config.frames, max(info.num_frames - start, 1))
    middle = start + num_frames // 2
    rate = float(info.rate or 0)
    box = region(middle, middle / rate if rate else 0.0)
    if box is None:
        return None
    reach = max(box.right - box.left, box.bottom - box.top, LEAST_MARGIN)
    window = Box(box.left - reach, box.top - reach, box.right + reach, box.bottom + reach).clip(info.height, info.width)
    assert window is not None, "a region lies on the frame"
    frames = list[Rgb]()
    for frame in read_video(info, start=start, stop=start + num_frames):
        admit(frame.picture, name=f"{config.folder}, frame {frame.index} at {frame.time:.2f} s")
        rgb = frame.picture.as_rgb8()
        frames.append(np.ascontiguousarray(rgb[window.top : window.bottom, window.left : window.right]))
    if not frames:
        return None
    local = _moved(box, (-window.top, -window.left))
    return follow(frames, local, min(middle - start, len(frames) - 1), start, (window.left, window.top))


def follow(frames: list[Rgb], box: Box, reference: int, first: int, corner: tuple[int, int]) -> Clip:
    """Track the region by translation, and return the frames around the reference in which it is inside the window."""
    grays = [frame.mean(2) for frame in frames]
    height, width = grays[reference].shape
    points = box.mask(height, width)
    shifts: dict[int, Shift] = {reference: (0.0, 0.0)}
    for onward in (range(reference + 1, len(frames)), range(reference - 1, -1, -1)):
        latest: Shift = (0.0, 0.0)
        for index in onward:
            latest = displacement(grays[reference], grays[index], points, [latest])
            moved = _moved(box, latest)
            if moved.clip(height, width) != moved:
                break
            shifts[index] = latest
    used = sorted(shifts)
    return Clip(
        first=first + used[0],
        frames=[frames[index] for index in used],
        corner=corner,
        reference=used.index(reference),
        boxes=[_moved(box, shifts[index]) for index in used],
        shifts=[shifts[index] for index in used],
    )


def _moved(box: Box, shift: tuple[float, float]) -> Box:
    down, across = round(shift[0]), round(shift[1])
    return Box(box.left + across, box.top + down, box.right + across, box.bottom + down)


def cover_clip(clip: Clip, plan: FilmPlan, side: int) -> tuple[list[Box], list[Rgb]]:
    """Return the covered region of each frame, of whole blocks, and the covered frames."""
    how = Cover() if plan.grid == "solid" else Cover(style="mosaic", block_size=side)
    grids, covered = list[Box](), list[Rgb]()
    for frame, box in zip(clip.frames, clip.boxes, strict=True):
        origin = (box.left, box.top) if plan.grid == "anchored" else (-clip.corner[0], -clip.corner[1])
        grid = whole_blocks(box, origin, side)
        grids.append(grid)
        covered.append(cover(frame, grid, how, origin=origin))
    return grids, covered
