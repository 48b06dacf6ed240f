"""Examination of the frames of a film by detectors, in several threads and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ganvas.errors import problem_of
from ganvas.hardware.threads import core_count, given_threads
from ganvas.image.picture import Picture
from ganvas.localization.detectors import DetectionConfig, Detector, find_in_picture
from ganvas.redaction.detections import FrameDetections

__all__ = ["examine", "in_threads"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
AHEAD = 2
"""Number of frames to read ahead for each worker."""
MOST_WORKERS = 8
"""Largest number of workers; each needs memory for a network and a frame: .3 GiB for faces at 1920 x 1080 pixels."""


def examine(
    frames: Iterable[tuple[int, float, Picture]],
    detectors: Sequence[Detector],
    config: DetectionConfig,
    *,
    workers: int | None = None,
) -> Iterator[FrameDetections]:
    """Yield the detections of each frame in order; the problem is stored for frames on which a detector fails.

    Args:
        frames: number, time in seconds and picture; `AHEAD` frames per worker are read ahead.
        detectors: detectors loaded with threads=1, since each worker examines a separate frame.
        config: minimum score and kept boxes.
        workers: see `in_threads`.
    """
    yield from in_threads(lambda frame: _examined(*frame, detectors, config), frames, workers=workers)


def in_threads(
    function: Callable[[Item], Outcome], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Outcome]:
    """Yield the result for each item, in order; `AHEAD` items per worker are read ahead.

    Args:
        function: called in a thread.
        items: read in the caller's thread.
        workers: number of threads; None for the number of CPU threads, at most `MOST_WORKERS`.
    """
    workers = workers or min(given_threads() or core_count(), MOST_WORKERS)
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _examined(
    number: int, time: float, picture: Picture, detectors: Sequence[Detector], config: DetectionConfig
) -> FrameDetections:
    try:
        found = tuple(find_in_picture(picture, detectors, config))
    except Exception as error:  # noqa: BLE001  whatever it is, the frame is covered whole and listed
        return FrameDetections(frame=number, time=time, problem=problem_of(error))
    return FrameDetections(frame=number, time=time, detections=found)
