"""Localization in films (`ganvas locate`): editable detections as JSON lines, and an overlay film with boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, problem_of
from ganvas.filesystem import claimed, require_apart
from ganvas.filesystem.atomic import atomic_file
from ganvas.image.files import list_images
from ganvas.image.picture import Picture
from ganvas.localization import Classifier, LocateConfig, load_classifier
from ganvas.localization.cam import class_index, locate
from ganvas.localization.classifier import Bytes
from ganvas.localization.detectors import Detection, DetectionConfig, Detector, drawn_boxes
from ganvas.localization.load import load_detectors
from ganvas.localization.locate_files import RECORD, detection_of, locate_files
from ganvas.progress import SILENT, Progress
from ganvas.redaction.detections import FrameDetections, header_line
from ganvas.redaction.examination import examine
from ganvas.redaction.film_report import counted
from ganvas.redaction.tracks import Tracker, TrackingConfig
from ganvas.terminal import one_line
from ganvas.video import FilmInfo, Frame, WriteOptions, check_writable, is_film, probe, read_video, write_video

__all__ = ["ClassifierDetector", "Located", "LocatedFilm", "film_detectors", "locate_all", "locate_films"]

OVERLAY = WriteOptions(sound=False, subtitles=False, metadata=False)


@dataclass(frozen=True, kw_only=True)
class LocatedFilm:
    """Detections in a film.

    Attributes:
        film: the file.
        detections: file of JSON lines, for `ganvas redact --detections`.
        overlay: the film with boxes.
        frames: number of frames.
        tracks: number of tracks.
        unexamined: number of frames that could not be examined.
    """

    film: Path
    detections: Path
    overlay: Path
    frames: int
    tracks: int
    unexamined: int

    def __str__(self) -> str:
        missed = f", {self.unexamined} could not be examined" if self.unexamined else ""
        name, lines = one_line(str(self.film)), one_line(str(self.detections))
        found = f"{counted(self.tracks, 'track')} in {counted(self.frames, 'frame')}{missed}"
        return f"{name}: {found}; edit {lines}, then redact --detections"


@dataclass(frozen=True, kw_only=True)
class Located:
    """Result of a localization.

    Attributes:
        record: path of the JSON file with all findings; None if classes were listed.
        photos: entry of each photo: photo, overlay, class, score, boxes.
        films: detections in each film.
        classes: class names of the classifier, if requested.
    """

    record: Path | None = None
    photos: tuple[dict[str, object], ...] = ()
    films: tuple[LocatedFilm, ...] = ()
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([*self.classes, *map(_photo_line, self.photos), *map(str, self.films)])


def _photo_line(found: dict[str, Any]) -> str:
    name = one_line(str(found["photo"]))
    if "class" in found:
        return f"{name}: {found['class']} {found['score']:.3f}"
    boxes = ", ".join(f"{box['label']} {box['score']:.2f}" for box in found["boxes"])
    return f"{name}: {boxes or 'nothing found'}"


class ClassifierDetector:
    """Detector that locates a classifier's class by its class activation map.

    Args:
        classifier: see `load_classifier`.
        class_name: one of its classes; None for the most likely one of each frame.
        threshold: see `ganvas.localization.cam.locate`.
    """

    def __init__(self, classifier: Classifier, class_name: str | None, threshold: float) -> None:
        self.name = class_name or "most likely class"
        self._classifier, self._class_name, self._threshold = classifier, class_name, threshold

    def detect(self, rgb: Bytes, *, min_score: float | None = None) -> list[Detection]:
        """Return the boxes of the class if its probability is at least `min_score`."""
        found = locate(rgb, self._classifier, class_name=self._class_name, threshold=self._threshold)
        if found.score < (min_score or 0.0):
            return []
        return [Detection(box, found.score, found.class_name) for box in found.boxes]


def locate_all(config: LocateConfig, *, progress: Progress = SILENT) -> Located:
    """Locate in photographs and films, or list the classes of the classifier.

    Raises:
        PartialFailure: files failed; the others are processed.
        InputError: an input or a setting is invalid.
    """
    if config.out is None or config.list_classes:
        return Located(classes=tuple(load_classifier(config.classifier).class_names))
    inside = (path for folder in config.photos if folder.is_dir() for path in sorted(folder.iterdir()))
    films = [path for path in (*config.photos, *inside) if path.is_file() and is_film(path)]
    photos = [path for path in config.photos if path not in films]
    located, record = list[LocatedFilm](), None
    found, problem = list[dict[str, object]](), PartialFailure({}, 0)
    if any(not path.is_dir() or list_images(path) for path in photos) or not films:
        record = config.out / RECORD
        try:
            found = locate_files(config, photos, progress=progress)
        except PartialFailure as failed:
            if not films:
                raise
            problem = failed
    if films:
        located = locate_films(
            films, config.out, film_detectors(config), detection_of(config), progress=progress, earlier=problem
        )
    return Located(record=record, photos=tuple(found), films=tuple(located))


def film_detectors(config: LocateConfig) -> list[Detector]:
    """Load the detectors, or the classifier as a detector, each with one thread, since several frames run at once."""
    if config.detect:
        return load_detectors(config.detect, threads=1)
    loaded = load_classifier(config.classifier)
    if config.class_name is not None:
        class_index(loaded, config.class_name)
    return [ClassifierDetector(loaded, config.class_name, config.threshold)]


def locate_films(
    films: Sequence[Path],
    out: Path,
    detectors: Sequence[Detector],
    config: DetectionConfig,
    *,
    progress: Progress = SILENT,
    earlier: PartialFailure | None = None,
) -> list[LocatedFilm]:
    """Write OUT/NAME.detections.jsonl and OUT/NAME, the film with boxes, for each film.

    Unusable films are listed at the end, and the others are processed.

    Args:
        films: the files.
        out: output folder, created if missing.
        detectors: detectors loaded with one thread each.
        config: minimum score, and boxes in which detections are ignored.
        progress: receives the number of finished frames, and can cancel.
        earlier: failures of photos, to raise together with those of films.

    Raises:
        InputError: a file that is read would be replaced, or two films have the same name.
        PartialFailure: some films failed; the others are processed.
    """
    names = [film.name for film in films]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{twice[0]}: two films have this name; locate them separately, each with its own --out")
    require_apart([path for film in films for path in (out / film.name, _lines_path(out, film))], films)
    located, failures = list[LocatedFilm](), dict(earlier.failures if earlier else {})
    with claimed(out):
        for film in films:
            try:
                located.append(_locate_film(film, out, detectors, config, progress))
            except FILE_ERRORS as problem:
                failures[str(film)] = problem_of(problem)
    if failures:
        raise PartialFailure(failures, len(films) + (earlier.total if earlier else 0))
    return located


def _lines_path(out: Path, film: Path) -> Path:
    return out / f"{film.name}.detections.jsonl"


def _locate_film(
    film: Path, out: Path, detectors: Sequence[Detector], config: DetectionConfig, progress: Progress
) -> LocatedFilm:
    info, path = probe(film), _lines_path(out, film)
    check_writable(out / film.name, like=info, options=OVERLAY)
    tracker, unexamined = Tracker(TrackingConfig()), 0
    # 1. Examine every frame, and write one line per frame with the numbers of the tracks.
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(header_line(width=info.width, height=info.height, detect=[one.name for one in detectors]) + "\n")
        frames = [
            tracker.add(frame) for frame in _reported(examine(_pictures(info), detectors, config), info, progress)
        ]
        for frame in frames:
            file.write(f"{frame.as_line()}\n")
            unexamined += frame.problem is not None
    # 2. Draw the boxes, as a guide for editing the lines.
    write_video(out / film.name, _drawn(info, frames), like=info, options=OVERLAY)
    return LocatedFilm(
        film=film,
        detections=path,
        overlay=out / film.name,
        frames=len(frames),
        tracks=len(tracker.tracks),
        unexamined=unexamined,
    )


def _reported(frames: Iterator[FrameDetections], info: FilmInfo, progress: Progress) -> Iterator[FrameDetections]:
    """Report the number of examined frames."""
    done = 0
    for frame in frames:
        progress.check()
        progress(info.path.name, done := frame.frame + 1, max(done, info.expected_frames()))
        yield frame
    progress(info.path.name, done, done)


def _pictures(info: FilmInfo) -> Iterator[tuple[int, float, Picture]]:
    first: float | None = None
    for frame in read_video(info):
        first = frame.time if first is None else first
        yield frame.index, frame.time - first, frame.picture


def _drawn(info: FilmInfo, frames: Sequence[FrameDetections]) -> Iterator[Frame]:
    for frame, found in zip(read_video(info), frames, strict=True):
        yield frame.with_picture(Picture(drawn_boxes(frame.picture.as_rgb8(), found.detections)))
