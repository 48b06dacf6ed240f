"""Worker that translates many pictures: each thread reads, gates, translates, gates and writes a few at a time.

Results, their order, errors and refusals equal those of sequential processing. Only a few pictures are in memory at
once, fewer if they are large.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ganvas.bulk.journal import Record, hash_files
from ganvas.bulk.runner import Job, Result
from ganvas.content_gate import admit, write_synthetic
from ganvas.errors import FILE_ERRORS, ImageError, InputError, PolicyRefusal, problem_of
from ganvas.image.cover import MaskFolder, composite, path_stem, read_mask
from ganvas.image.files import read_image, read_label, read_size
from ganvas.image.label import SOURCE_TYPE, SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.inference.frames import (
    GROUP,
    GROUP_PIXELS,
    PIXELS_AHEAD,
    LinkedProgress,
    NetworkPlaces,
    network_threads,
)
from ganvas.inference.translation import Translation
from ganvas.inference.translator import Translator
from ganvas.progress import Progress
from ganvas.serialization import to_record

__all__ = ["Item", "PictureWorker", "Settings", "lost", "write_result"]


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """Line of the manifest about one picture.

    Attributes:
        name: name of the picture, relative to the source folder.
        input: SHA-256 of the file and, if it has a mask, of the mask.
        settings: SHA-256 of the run's snapshot and of all settings that determine the result.
        output: SHA-256 of the written file; None if no file was written.
        problem: reason why no file was written.
        notes: notes for the user on the result.
    """

    name: str
    input: str
    settings: str
    output: str | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything except the picture that determines a result.

    Attributes:
        translator: the loaded run.
        label: label that marks results as synthetic.
        tile: see `Translator.tiled`; None for whole pictures.
        overlap: see `Translator.tiled`.
        masks: a mask for all pictures, or the masks of a folder; None to replace whole pictures.
    """

    translator: Translator
    label: SyntheticLabel
    tile: int | None
    overlap: int | None
    masks: Path | MaskFolder | None

    def mask_of(self, job: Job) -> Path | None:
        """Return the mask of a picture; None to replace the whole picture.

        Raises:
            ImageError: the folder has no mask of it.
            InputError: the folder has several.
        """
        if not isinstance(self.masks, MaskFolder):
            return self.masks
        if (mask := self.masks.find(job.name)) is None:
            remedy = "add one (an all-black mask leaves the picture unchanged)"
            raise ImageError(job.source, f"no mask {path_stem(job.name)}.* in {self.masks.folder}; {remedy}")
        return mask


@dataclass
class Item:
    """One picture or film in progress.

    Attributes:
        job: source and target.
        input: see `ManifestRow`.
        picture: the picture until its translation is written.
        output: see `ManifestRow`.
        notes: see `ManifestRow`.
        error: reason why no file was written.
        is_done: whether an earlier call wrote the result.
    """

    job: Job
    input: str = ""
    picture: Picture | None = None
    output: str | None = None
    notes: tuple[str, ...] = ()
    error: Exception | None = None
    is_done: bool = False

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Record an error inside the block as the failure of this input, so that the others continue."""
        try:
            yield
        except FILE_ERRORS as error:
            self.error, self.notes = error, ()

    def is_new(self, identity: str, files: Sequence[Path], label_of: Callable[[Path], str | None]) -> bool:
        """Hash the input, and return whether it still has to be translated.

        Args:
            identity: SHA-256 of the settings.
            files: the input.
            label_of: returns the digital source type of an existing file.

        Raises:
            ImageError: the target exists and is not a translation.
        """
        job, target = self.job, self.job.target
        assert target is not None
        self.input = hash_files(*files)
        start = identity + self.input
        if job.proof is not None and job.proof.startswith(start) and target.is_file():
            self.is_done = job.proof == start + hash_files(target)
        if not self.is_done:
            _check_free(job, target, label_of)
        return not self.is_done

    def result(self, identity: str) -> Result:
        """Return the line for the manifest, and its refusal."""
        if self.is_done:
            return Result(line=None)
        refusal = self.error if isinstance(self.error, PolicyRefusal) else None
        row = ManifestRow(
            name=self.job.name,
            input=self.input,
            settings=identity,
            output=self.output,
            problem=None if self.error is None else problem_of(self.error),
            notes=self.notes,
        )
        return Result(line=to_record(row), refusal=None if refusal is None else refusal.as_arguments())


class PictureWorker:
    """Worker of the bulk runner: translates groups of pictures in threads and yields their results in order.

    Args:
        settings: settings that determine a result.
        identity: SHA-256 of the settings and of the run's files, for the manifest.
    """

    def __init__(self, settings: Settings, identity: str) -> None:
        self._settings, self._identity = settings, identity

    def __call__(self, jobs: Sequence[Job], progress: Progress) -> Generator[list[Result]]:
        """Yield the results of each group of pictures, once they are written."""
        tiles, places = LinkedProgress(progress), NetworkPlaces(self._settings.translator, self._settings.tile)
        pending = deque[tuple[Future[list[Result]], int]]()
        with network_threads() as (pool, threads):
            try:
                # The network is prepacked for the first picture; the other threads wait for that.
                yield pool.submit(self._process, jobs[:1], places, tiles).result()
                # Read ahead by one group per thread and one more, or by fewer if pictures are large.
                for group, pixels in _groups(jobs[1:]):
                    pending.append((pool.submit(self._process, group, places, tiles), pixels))
                    while len(pending) > threads + 1 or (
                        len(pending) > 1 and sum(size for _, size in pending) > PIXELS_AHEAD
                    ):
                        yield pending.popleft()[0].result()
                while pending:
                    yield pending.popleft()[0].result()
            finally:
                tiles.cancel()  # threads stop at their next tile if the caller stopped early

    def _process(self, jobs: Sequence[Job], places: NetworkPlaces, tiles: Progress) -> list[Result]:
        """Read, translate and write one group in this thread."""
        settings, items = self._settings, [Item(job) for job in jobs]
        for item in items:
            with item.failing_alone():
                self._read(item)
        # Pictures that an earlier call finished, and unreadable ones, skip the following steps.
        opened = [(item, item.picture) for item in items if item.picture is not None]
        outcomes = settings.translator.translate_many(
            [(item.job.name, picture) for item, picture in opened],
            tile=settings.tile,
            overlap=settings.overlap,
            places=places,
            progress=tiles,
        )
        for (item, picture), outcome in zip(opened, outcomes, strict=True):
            with item.failing_alone():
                self._write(item, picture, outcome)
            item.picture = None
        return [item.result(self._identity) for item in items]

    def _read(self, item: Item) -> None:
        """Read a picture, unless an earlier call translated it with these settings."""
        mask = self._settings.mask_of(item.job)
        files = [item.job.source, *([] if mask is None else [mask])]
        if item.is_new(self._identity, files, read_label):
            item.picture = read_image(item.job.source)

    def _write(self, item: Item, picture: Picture, outcome: Translation | Exception) -> None:
        if isinstance(outcome, Exception):
            raise outcome
        assert item.job.target is not None
        write_result(item.job, self._settings, picture, outcome)
        item.notes = outcome.all_notes
        item.output = hash_files(item.job.target)


def write_result(job: Job, settings: Settings, picture: Picture, translation: Translation) -> None:
    """Write a translation; with masks, the original with its masked part replaced by the translation.

    Raises:
        InputError: not exactly one mask matches, or the format does not support the result.
        PolicyRefusal: the content gate refused the composite.
    """
    assert job.target is not None
    admitted = translation.admitted
    if (mask := settings.mask_of(job)) is not None:
        inside = read_mask(mask, picture)
        admitted = admit(composite(picture, admitted.picture, inside), name=admitted.name)
    write_synthetic(job.target, admitted, settings.label)


def _check_free(job: Job, target: Path, label_of: Callable[[Path], str | None]) -> None:
    """Raise ImageError unless `target` is missing or a translation, according to the manifest or its label.

    A killed process may have written a translation without its row.
    """
    if target.exists() and not job.known and not _is_labeled(target, label_of):
        raise ImageError(target, "already exists and is not a translation; move it, or use another folder")


def _is_labeled(path: Path, label_of: Callable[[Path], str | None]) -> bool:
    try:
        return label_of(path) == SOURCE_TYPE
    except InputError:
        return False


def _groups(jobs: Sequence[Job]) -> Iterator[tuple[list[Job], int]]:
    """Yield groups of consecutive pictures, and their number of pixels by their headers."""
    group, pixels = list[Job](), 0
    for job in jobs:
        size = _num_pixels(job)
        if group and (len(group) == GROUP or pixels + size > GROUP_PIXELS):
            yield group, pixels
            group, pixels = [], 0
        group, pixels = [*group, job], pixels + size
    if group:
        yield group, pixels


def _num_pixels(job: Job) -> int:
    """Return the number of pixels by the header; 0 if the file cannot be read, which is reported later."""
    with suppress(ImageError):
        height, width = read_size(job.source)
        return height * width
    return 0


def lost(settings: str, job: Job, reason: str) -> Record:
    """Return the manifest line of a picture whose worker died."""
    row = ManifestRow(name=job.name, input="", settings=settings, output=None, problem=reason)
    record: Record = to_record(row)
    return record
