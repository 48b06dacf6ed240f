"""Translation of the frames of a film in threads and in order, with the gate on every input and output."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from itertools import islice
from threading import Lock, Semaphore
from typing import TYPE_CHECKING

import torch

from ganvas.data.scenes import windows
from ganvas.errors import ImageError, PolicyRefusal
from ganvas.hardware.device import cores_beside, cores_for_networks
from ganvas.image.picture import Picture
from ganvas.inference.translation import ConversionWarning, Translation
from ganvas.progress import SILENT, Progress
from ganvas.video import Frame

if TYPE_CHECKING:
    from ganvas.inference.translator import Translator

__all__ = [
    "GROUP",
    "GROUP_PIXELS",
    "PIXELS_AHEAD",
    "LinkedProgress",
    "NetworkPlaces",
    "network_threads",
    "run_frames",
    "translated_frames",
]

GROUP = 4
"""Number of pictures that a thread processes as a group, for which the cache of scores is opened once."""
GROUP_PIXELS = 2**21
"""Largest number of pixels of a group; larger groups are split."""
PIXELS_AHEAD = 2**25
"""Largest number of pixels in progress; a larger picture is processed alone."""
SMALL_PIXELS = 2**19
"""Largest number of pixels of a result with which two pictures may be in the network at the same time."""


class NetworkPlaces:
    """Slots of the network: on a CPU two small pictures run at once, each on half of the cores.

    Larger and tiled pictures enter one at a time because of their memory, and so do pictures of methods that draw
    noise, since threads share torch's generator.
    """

    def __init__(self, translator: Translator, tile: int | None) -> None:
        self._small, self._alone = Semaphore(max(1, torch.get_num_threads() // cores_for_networks())), Lock()
        self._one_by_one = translator.device.type != "cpu" or translator.model.draws_noise
        self._largest, self._tile = SMALL_PIXELS // translator.model.scale**2, tile

    def __call__(self, picture: Picture) -> AbstractContextManager[object]:
        """Return the lock for a picture to hold while it is in the network."""
        in_tiles = self._tile is not None and max(picture.height, picture.width) > self._tile
        is_large = in_tiles or picture.height * picture.width > self._largest
        return self._alone if self._one_by_one or is_large else self._small


class LinkedProgress(Progress):
    """Progress of a part of a command, which is cancelled with the command or when its generator is closed.

    Args:
        command: receives the reports.
    """

    def __init__(self, command: Progress) -> None:
        super().__init__()
        self._command = command

    def __call__(self, task: str, done: int, total: int) -> None:
        """Report progress to the command."""
        self._command(task, done, total)

    def check(self) -> None:
        """Raise if the part or the command was cancelled."""
        super().check()
        self._command.check()


@contextmanager
def network_threads() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Yield a pool of threads that share the network, and their number.

    PyTorch's number of threads is set for each thread of the pool, so that together they use all cores.
    """
    count, before = cores_beside() + 1, torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "ganvas", initializer=torch.set_num_threads, initargs=(cores_for_networks(),))
    try:
        yield pool, count
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


Outcomes = Sequence[Translation | Exception]
Windowed = tuple[Frame, tuple[Picture, ...]]
"""A frame, and the window of frames that the network sees, with the frame in the middle."""


def run_frames(
    translator: Translator,
    frames: Iterable[Frame],
    *,
    name: str,
    only: Container[int] | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    progress: Progress = SILENT,
) -> Generator[tuple[Frame, Translation]]:
    """Yield each frame of a film, without its pixels, with its translation, in order.

    Each frame is translated independently, exactly like a picture, unless the run takes a window of frames of the same
    scene. Only a few frames are in memory, whatever the length of the film.

    Args:
        translator: the loaded run.
        frames: frames as yielded by `ganvas.video.read_video`.
        name: name of the film, for messages.
        only: indices of the frames to translate; the others serve as neighbors. Unset: all.
        tile: see `Translator.tiled`; None for whole frames.
        overlap: see `Translator.tiled`.
        progress: can cancel between two frames.

    Raises:
        PolicyRefusal: the gate refused a frame or its translation; names frame and second.
        ImageError: the model does not accept the frames, or memory runs out.
        VideoError: see `ganvas.video.read_video`.
        Cancelled: see `Progress.check`.
    """
    places, linked = NetworkPlaces(translator, tile), LinkedProgress(progress)

    def translate(group: Sequence[Windowed]) -> Outcomes:
        named = [(frame_name(name, frame), frame.picture) for frame, _ in group]
        around = [window for _, window in group]
        return translator.translate_many(
            named, windows=around, tile=tile, overlap=overlap, places=places, progress=linked
        )

    windowed = (one for one in windows(frames, translator.num_frames) if only is None or one[0].index in only)

    with network_threads() as (pool, count):
        try:
            for group, outcomes in _in_order(pool, count, translate, _groups(windowed, translator.model.scale)):
                for frame, outcome in zip(group, outcomes, strict=True):
                    yield frame, _or_raised(outcome, name, frame)
        finally:
            linked.cancel()  # threads stop before their next frame if the caller stopped early


def translated_frames(
    translator: Translator, frames: Iterable[Frame], *, name: str, tile: int | None, overlap: int | None
) -> Iterator[Frame]:
    """Yield the frames translated (see `Translator.translate_frames`); a note on several frames is reported once."""
    reported = set[str]()
    with closing(run_frames(translator, frames, name=name, tile=tile, overlap=overlap)) as translated:
        for frame, translation in translated:
            for note in set(translation.all_notes) - reported:
                warnings.warn(note, ConversionWarning, stacklevel=2)
                reported.add(note)
            yield frame.with_picture(translation.picture)


def frame_name(name: str, frame: Frame) -> str:
    """Return the name of a frame in messages: film, number and second."""
    return f"{name}, frame {frame.index} ({frame.time:.3f} s)"


def _in_order(
    pool: ThreadPoolExecutor,
    count: int,
    translate: Callable[[Sequence[Windowed]], Outcomes],
    groups: Iterator[list[Windowed]],
) -> Iterator[tuple[list[Frame], Outcomes]]:
    """Yield groups with their outcomes in order, with one more group in progress than there are threads."""
    pending = deque[tuple[list[Frame], Future[Outcomes]]]()
    first = next(groups, None)
    if first is None:
        return
    # The network is prepacked for the first frames; the other groups wait for that.
    yield _light(first), pool.submit(translate, first).result()
    for group in groups:
        pending.append((_light(group), pool.submit(translate, group)))
        pixels = sum(frame.picture.height * frame.picture.width for frame, _ in group)
        while len(pending) > count or (len(pending) > 1 and pixels * len(pending) > PIXELS_AHEAD):
            done, future = pending.popleft()
            yield done, future.result()
    while pending:
        done, future = pending.popleft()
        yield done, future.result()


def _groups(frames: Iterable[Windowed], scale: int) -> Iterator[list[Windowed]]:
    """Yield groups of consecutive frames, smaller groups if the frames or their translations are large."""
    stream = iter(frames)
    for first in stream:
        size = min(GROUP, GROUP_PIXELS // (first[0].picture.height * first[0].picture.width * scale**2))
        yield [first, *islice(stream, max(0, size - 1))]


def _light(group: Sequence[Windowed]) -> list[Frame]:
    """Return the frames without their decoded planes, since the translation replaces all of them."""
    return [replace(frame, native=None) for frame, _ in group]


def _or_raised(outcome: Translation | Exception, name: str, frame: Frame) -> Translation:
    """Return a translation, or raise its error with the name of the frame."""
    if isinstance(outcome, PolicyRefusal):  # its message names the frame
        raise outcome
    if isinstance(outcome, ImageError):
        raise ImageError(None, f"{frame_name(name, frame)}: {_without_path(outcome)}") from outcome
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _without_path(error: ImageError) -> str:
    return str(error).removeprefix(f"{error.path}: ")
