"""Translation of a film in segments cut at key frames: resumable byte for byte, written completely or not at all."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

from ganvas.bulk.journal import hash_file, hash_settings, working_folder
from ganvas.bulk.runner import Job
from ganvas.content_gate import AdmittedPicture, write_synthetic_segment
from ganvas.errors import ConfigError, GanvasError, VideoError
from ganvas.filesystem.atomic import write_json
from ganvas.image.codecs import IMAGE_SUFFIXES
from ganvas.image.picture import NATURAL_RANGE, Picture
from ganvas.image.ranges import describe_transfer
from ganvas.inference.config import FilmOptions
from ganvas.inference.frames import run_frames
from ganvas.inference.pipeline import Settings
from ganvas.progress import Progress
from ganvas.serialization import from_record, read_json, to_record
from ganvas.video import (
    FilmInfo,
    Frame,
    Segment,
    WriteOptions,
    WriteReport,
    check_writable,
    is_film,
    join_segments,
    plan_segments,
    probe,
    read_video,
)

__all__ = ["ANIMATED_SUFFIXES", "FilmTranslation", "film_part", "names_film", "opened_film", "translate_film"]

SECONDS = 2.0
"""Smallest length of a segment in seconds, the work that a kill may lose; segments begin at key frames."""
ANIMATED_SUFFIXES = frozenset((".gif", ".webp", ".png", ".apng"))
FRAMES = "frames"
"""Name of the task in the progress report."""
MOST_NAMED = 10
"""Number of damaged frames that a note names."""


def names_film(path: Path) -> bool:
    """Return whether a file is a readable film or animation."""
    if path.suffix.lower() in IMAGE_SUFFIXES - ANIMATED_SUFFIXES:
        return False
    with suppress(OSError, GanvasError):
        return is_film(path)
    return False


def translate_film(
    job: Job, settings: Settings, options: FilmOptions, identity: str, *, progress: Progress
) -> tuple[str, ...]:
    """Translate a film with its sound, subtitles and metadata, and label it as synthetic.

    Finished segments are stored in a hidden folder beside the film. After an interruption at any moment, the same call
    resumes, and the film equals an uninterrupted one byte for byte.

    Args:
        job: source and target; the suffix of the target determines the container.
        settings: settings that determine a frame.
        options: further settings that determine the film.
        identity: SHA-256 of the settings, the run's files and the options.
        progress: receives the number of finished frames, and can cancel.

    Returns:
        Notes for the user, each a sentence.

    Raises:
        PolicyRefusal: the gate refused a frame or its translation; names frame and second.
        VideoError: the film cannot be read, translated or written.
        ImageError: the model does not accept its frames, or memory runs out.
        MissingDependency: PyAV is not installed.
        FolderInUse: another process translates to the same file.
        Cancelled: see `Progress.check`.
    """
    with opened_film(job, settings, options, identity, progress=progress) as film:
        return film.translate()


@contextmanager
def opened_film(
    job: Job, settings: Settings, options: FilmOptions, identity: str, *, progress: Progress
) -> Iterator[FilmTranslation]:
    """Yield the translation of a film in its working folder, which this process locks; see `translate_film`."""
    assert job.target is not None
    # Raise errors that would otherwise occur at the end, before anything is translated.
    if settings.masks is not None:
        raise ConfigError(f"{job.source}: --mask applies to pictures only; translate the film without it")
    info = probe(job.source)
    _check_model(settings, info)
    write = _write_options(settings, options, info, job.target)
    check_writable(job.target, like=info, options=write, picture=_sample(info, settings.translator.model.scale))

    # Identify everything that determines the bytes of the film, so that parts of other settings are never joined.
    needs_av = not info.is_animation or job.target.suffix.lower() not in ANIMATED_SUFFIXES
    versions = [version(name) for name in ("ganvas", "av")[: 1 + needs_av]]
    key = hash_settings([identity, hash_file(job.source), versions])
    with working_folder(job.target, key) as work:
        yield FilmTranslation(job, info, settings, options, write, work, progress)


def film_part(job: Job, settings: Settings, options: FilmOptions, work: Path, *, progress: Progress) -> FilmTranslation:
    """Return a film's translation in a working folder locked by another process, for a single part."""
    assert job.target is not None
    info = probe(job.source)
    return FilmTranslation(
        job, info, settings, options, _write_options(settings, options, info, job.target), work, progress
    )


@dataclass(frozen=True, kw_only=True)
class SegmentRecord:
    """A finished segment, as JSON beside its part file.

    Attributes:
        num_frames: number of translated frames.
        part: SHA-256 of the part file.
        notes: notes on its frames.
        repeated: number and second of each damaged frame.
    """

    num_frames: int
    part: str
    notes: tuple[str, ...] = ()
    repeated: tuple[tuple[int, float], ...] = ()


@dataclass
class _Notes:
    """Notes collected while the frames of a segment are translated."""

    sentences: dict[str, None] = field(default_factory=dict)
    repeated: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class FilmTranslation:
    """Translation of a film in a working folder.

    Attributes:
        job: see `translate_film`.
        info: properties of the film.
        settings: see `translate_film`.
        options: see `translate_film`.
        write: options of the writer.
        work: the working folder, locked by this process or by the one that sent a part.
        progress: see `translate_film`.
    """

    job: Job
    info: FilmInfo
    settings: Settings
    options: FilmOptions
    write: WriteOptions
    work: Path
    progress: Progress

    def translate(self) -> tuple[str, ...]:
        """Translate the missing segments, join all segments, and return the notes."""
        segments = self.segments()
        total, done = self._total(segments), 0
        for segment in segments:
            self.progress(FRAMES, done, max(total, done))
            done += self.translate_segment(segment, done, total).num_frames
        self.progress(FRAMES, done, done)
        return self.join(segments)

    def segments(self) -> list[Segment]:
        """Return the segments to translate."""
        return [segment for segment in plan_segments(self.info, seconds=SECONDS) if self._is_wanted(segment)]

    def join(self, segments: Sequence[Segment]) -> tuple[str, ...]:
        """Join the translated segments, and return the notes on the film.

        Raises:
            VideoError: the film cannot be written, or a segment is missing.
        """
        assert self.job.target is not None
        # Check the hash of every part again, because another process of a cluster may have written it.
        records = [self.finished(segment) for segment in segments]
        if None in records:
            raise VideoError(self.job.source, f"segment {records.index(None)} is missing; run the command again")
        parts = [self._part(segment) for segment in segments]
        report = join_segments(self.job.target, parts, like=self.info, options=self.write)
        return _all_notes(self, [record for record in records if record is not None], report)

    def _part(self, segment: Segment) -> Path:
        return self.work / f"{segment.number:06d}.part"

    def _is_wanted(self, segment: Segment) -> bool:
        """Return whether a segment begins within the preview."""
        begins = None if segment.start is None else float(segment.start * self.info.time_base)
        return self.write.until is None or begins is None or begins < self.write.until

    def _total(self, segments: Sequence[Segment]) -> int:
        """Return the number of frames to translate, estimated if it is unknown before decoding."""
        counts = [segment.num_frames for segment in segments if segment.num_frames is not None]
        expected = self.info.expected_frames(self.options.preview)
        return min(sum(counts), expected or sum(counts)) if len(counts) == len(segments) else expected

    def finished(self, segment: Segment) -> SegmentRecord | None:
        """Return the record of a finished segment; None unless the record and the part file are valid."""
        part = self._part(segment)
        content = _json_or_none(part.with_suffix(".json"))
        if not isinstance(content, dict) or not part.is_file():
            return None
        with suppress(GanvasError):  # record of another version
            record: SegmentRecord = from_record(SegmentRecord, content)
            return record if record.part == hash_file(part) else None
        return None

    def translate_segment(self, segment: Segment, done: int = 0, total: int = 0) -> SegmentRecord:
        """Translate a segment unless it is finished, and return its record, which is stored beside its part file.

        Args:
            segment: segment of the film.
            done: number of frames already translated, for the progress report.
            total: number of frames of the film, for the progress report.
        """
        assert self.job.target is not None
        if record := self.finished(segment):
            return record

        # 1. Translate and encode in one pass; neighbors outside the segment are read but not written.
        part = self._part(segment)
        seen = _Notes()
        only, frames = self._frames(segment)
        wanted = takewhile(lambda frame: self.write.until is None or frame.time < self.write.until, frames)
        with closing(self._translated(wanted, only, seen, done, total)) as translated:
            count = write_synthetic_segment(part, translated, like=self.info, out=self.job.target, options=self.write)

        # 2. Write the record last: only a complete part has one, and its hash detects a part changed since.
        record = SegmentRecord(
            num_frames=count, part=hash_file(part), notes=tuple(seen.sentences), repeated=tuple(seen.repeated)
        )
        write_json(part.with_suffix(".json"), to_record(record))
        return record

    def _frames(self, segment: Segment) -> tuple[range | None, Iterator[Frame]]:
        """Return the indices of a segment's frames, and the frames with the neighbors of the first and the last."""
        half, damaged = self.settings.translator.num_frames // 2, self.options.skip_damaged
        if not half or segment.num_frames is None:
            return None, read_video(self.info, segment=segment, skip_damaged=damaged)
        own = range(segment.first, segment.first + segment.num_frames)
        return own, read_video(self.info, start=max(0, own.start - half), stop=own.stop + half, skip_damaged=damaged)

    def _translated(
        self, frames: Iterator[Frame], only: range | None, seen: _Notes, done: int, total: int
    ) -> Generator[tuple[Frame, AdmittedPicture]]:
        """Yield each frame with its admitted translation."""
        settings = self.settings
        translated = run_frames(
            settings.translator,
            frames,
            name=self.job.name,
            only=only,
            tile=settings.tile,
            overlap=settings.overlap,
            progress=self.progress,
        )
        with closing(translated):
            for frame, translation in translated:
                seen.sentences |= dict.fromkeys(translation.all_notes)
                if frame.repeated:
                    seen.repeated.append((frame.index, frame.time))
                yield frame, translation.admitted
                done += 1
                self.progress(FRAMES, done, max(total, done))


def _json_or_none(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _check_model(settings: Settings, info: FilmInfo) -> None:
    """Verify that a run accepts the frames of a film, and that a film can store its output.

    Raises:
        VideoError: either does not hold.
    """
    given, made = settings.translator.record.input, settings.translator.record.output
    if info.color.hdr != given.transfer:
        trained = f"{describe_transfer(info.color.hdr)}, and the run was trained {describe_transfer(given.transfer)}"
        remedy = (
            "convert it first: ffmpeg -vf zscale=t=linear,tonemap=hable,zscale=t=bt709:m=bt709:p=bt709,format=yuv420p"
            if given.transfer is None
            else "use films with that transfer function, or train a run on films like this one"
        )
        raise VideoError(info.path, f"{trained}; {remedy}")
    if given.channels != 3:
        raise VideoError(info.path, f"frames have 3 channels, and the run expects {given.channels}; train one on RGB")
    if made.channels not in (1, 3) or made.value_range != NATURAL_RANGE[made.dtype]:
        low, high = made.value_range
        raise VideoError(
            info.path,
            f"the run makes {made.channels} channels of {made.dtype} with values {low:g} to {high:g}, which no film "
            "format supports; translate the frames as pictures",
        )


def _write_options(settings: Settings, options: FilmOptions, info: FilmInfo, target: Path) -> WriteOptions:
    """Return the options of the writer; animations have neither codec nor quality."""
    animated = target.suffix.lower() in ANIMATED_SUFFIXES
    return WriteOptions(
        codec=None if animated else options.codec,
        crf=None if animated else options.crf,
        sound=options.sound,
        until=None if options.preview is None else info.start + options.preview,
        label=replace(settings.label, note="This film was made by a trained image-to-image model."),
    )


def _sample(info: FilmInfo, scale: int) -> Picture:
    """Return the first frame at the size of its translation, to test the encoder."""
    picture = next(iter(read_video(info, stop=1, skip_damaged=True))).picture
    return Picture(picture.pixels.repeat(scale, 0).repeat(scale, 1), picture.has_alpha)


def _all_notes(film: FilmTranslation, records: Sequence[SegmentRecord], report: WriteReport) -> tuple[str, ...]:
    """Return the notes on a finished film without duplicates."""
    notes = dict.fromkeys(note for record in records for note in record.notes)
    if film.info.bit_depth > 8 and film.settings.translator.record.output.dtype == "uint8":
        notes[f"the film has {film.info.bit_depth} bits per pixel value, and the run generates 256 levels"] = None
    if repeated := [one for record in records for one in record.repeated]:
        named = ", ".join(f"{index} ({seconds:.3f} s)" for index, seconds in repeated[:MOST_NAMED])
        more = f" and {len(repeated) - MOST_NAMED} more" if len(repeated) > MOST_NAMED else ""
        notes[f"damaged frames, each replaced by the previous frame: {named}{more}"] = None
    if dropped := [what for what in report.dropped if film.write.sound or not what.startswith("sound")]:
        notes[f"dropped from the film: {', '.join(dropped)}"] = None
    if report.path.suffix.lower() in ANIMATED_SUFFIXES and (film.write.crf, film.write.codec) != (None, None):
        notes["--crf and --codec apply to video files; this is an animation"] = None
    if report.offset:
        notes[f"all timestamps were shifted by {report.offset:.3f} s, because {report.path.suffix} begins at 0"] = None
    return tuple(notes)
