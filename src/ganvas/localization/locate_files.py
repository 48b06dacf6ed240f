"""Localization in photographs: heat-map overlays and a JSON record (`ganvas locate`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, problem_of
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_json
from ganvas.image.files import list_images, read_image, warn_of_notes, warn_of_skipped, write_image
from ganvas.image.picture import Picture
from ganvas.localization import LocateConfig
from ganvas.localization.cam import class_index, locate, overlay
from ganvas.localization.detectors import DetectionConfig, drawn_boxes, find_in_picture
from ganvas.localization.load import load_classifier, load_detectors
from ganvas.progress import SILENT, Progress
from ganvas.serialization import read_json
from ganvas.video import is_film

RECORD = "locate.json"


def detection_of(config: LocateConfig) -> DetectionConfig:
    """Return the settings of the detectors."""
    return DetectionConfig(detect=config.detect, min_score=config.min_score)


def locate_files(
    config: LocateConfig, photos: Sequence[Path], *, progress: Progress = SILENT
) -> list[dict[str, object]]:
    """Write OUT/NAME.png (heat map or boxes over the photo) for each photo, and OUT/locate.json with all findings.

    An unusable photo is recorded with its error, and the others are processed.

    Args:
        config: settings; `out` is a folder, created if missing.
        photos: files, or folders of pictures.
        progress: receives the number of finished photos, and can cancel.

    Raises:
        InputError: no photos, a file that no earlier call wrote would be replaced, an unknown classifier or class, or a
            threshold out of range.
        PartialFailure: some photos failed; the others are processed.
    """
    out, classifier = config.out, config.classifier
    assert out is not None
    for folder in (photo for photo in photos if photo.is_dir()):
        require_outside(out, folder)
    files = [file for photo in photos for file in (list_images(photo) if photo.is_dir() else [photo])]
    if not files:
        raise InputError(f"no pictures in {', '.join(map(str, photos)) or 'an empty list'}; pass files or a folder")
    names = overlay_names(files)
    require_apart([*(out / name for name in names), out / RECORD], [*files, Path(classifier)])
    find = _finder(config)
    for folder in (photo for photo in photos if photo.is_dir()):
        warn_of_skipped(folder, out=out, also=is_film)
    with claimed(out):
        earlier = _earlier_overlays(out)
        _check_free(out, names, earlier)
        overlays = [*names, *sorted(earlier.difference(names))]
        found: dict[str, object] = {"classifier": classifier, "threshold": config.threshold, "overlays": overlays}
        if config.detect:
            found = {"detect": list(config.detect), "overlays": overlays}
        # Write the record before the first overlay, so that after an interruption the files are known to be ours.
        write_json(out / RECORD, found)
        records: list[dict[str, object]] = []
        for file, name in progress.track(zip(files, names, strict=True), "locate", total=len(files)):
            records.append(_locate_file(file, out / name, find))
        write_json(out / RECORD, {**found, "photos": records})
    failures = {str(record["photo"]): str(record["error"]) for record in records if "error" in record}
    if failures:
        raise PartialFailure(failures, len(files), done=f"{len(files) - len(failures)} located")
    return records


def overlay_names(files: Sequence[Path]) -> list[str]:
    """Return a .png name for each file: its stem, with its suffix and a number if stems repeat."""
    taken: set[str] = set()
    names = []
    for file in files:
        numbered = (f"{file.stem}{file.suffix.replace('.', '_')}_{count}.png" for count in range(1, len(files) + 1))
        candidates = (f"{file.stem}.png", f"{file.stem}{file.suffix.replace('.', '_')}.png", *numbered)
        name = next(candidate for candidate in candidates if candidate.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _earlier_overlays(out: Path) -> set[str]:
    """Return the names of the existing files that earlier calls into this folder wrote."""
    try:
        return {name for name in read_json(out / RECORD)["overlays"] if (out / name).exists()}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _check_free(out: Path, names: Sequence[str], earlier: Set[str]) -> None:
    """Raise InputError if a file exists that no earlier `locate` into this folder wrote."""
    if strange := [name for name in names if name not in earlier and (out / name).exists()]:
        raise InputError(
            f"{out / strange[0]} already exists and was not written by locate; move it, or use another folder"
        )


Found = tuple[NDArray[np.uint8], dict[str, object]]
"""Overlay (H, W, 3), and the entry of the record."""


def _finder(config: LocateConfig) -> Callable[[Picture], Found]:
    """Load the detectors or the classifier, and return the function that processes a photo."""
    if config.detect:
        detectors, detection = load_detectors(config.detect), detection_of(config)

        def detect(picture: Picture) -> Found:
            found = find_in_picture(picture, detectors, detection)
            return drawn_boxes(picture.as_rgb8(), found), {"boxes": [one.as_record() for one in found]}

        return detect
    loaded = load_classifier(config.classifier)
    if config.class_name is not None:
        class_index(loaded, config.class_name)

    def classify(picture: Picture) -> Found:
        finding = locate(picture, loaded, class_name=config.class_name, threshold=config.threshold)
        return overlay(picture.as_rgb8(), finding.heat, boxes=finding.boxes), finding.as_record()

    return classify


def _locate_file(file: Path, target: Path, find: Callable[[Picture], Found]) -> dict[str, object]:
    """Locate in one photo, and return its entry in the record."""
    try:
        picture = read_image(file)
        warn_of_notes(picture)
        drawn, record = find(picture)
        write_image(target, Picture(drawn))
    except FILE_ERRORS as problem:
        return {"photo": str(file), "error": problem_of(problem)}
    return {"photo": str(file), "overlay": target.name, **record}
