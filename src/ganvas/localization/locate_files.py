"""Localization in many photographs: heat-map overlays and one JSON record (`ganvas locate`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganvas.errors import FILE_ERRORS, InputError, PartialFailure, problem_of
from ganvas.filesystem import claimed, require_apart, require_outside
from ganvas.filesystem.atomic import write_json
from ganvas.image.files import list_images, read_image, warn_of_notes, warn_of_skipped, write_image
from ganvas.image.picture import Picture
from ganvas.localization.cam import THRESHOLD, overlay
from ganvas.localization.evidence import Classifier
from ganvas.localization.finding import class_index, locate
from ganvas.localization.load import load_classifier
from ganvas.progress import SILENT, Progress
from ganvas.serialization import read_json
from ganvas.terminal import one_line

RECORD = "locate.json"


@dataclass(frozen=True, kw_only=True)
class Located:
    """Result of a localization.

    Attributes:
        record: path of the JSON file with all findings; None where classes were listed.
        photos: what the record says of each photo: photo, overlay, class, score, boxes.
        classes: names of the classifier's classes, where they were asked for.
    """

    record: Path | None = None
    photos: tuple[dict[str, object], ...] = ()
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = (f"{one_line(str(one['photo']))}: {one['class']} {one['score']:.3f}" for one in self.photos)
        return "\n".join([*self.classes, *found])


def locate_files(
    photos: Sequence[Path],
    out: Path,
    *,
    classifier: str = "imagenet",
    class_name: str | None = None,
    threshold: float = THRESHOLD,
    progress: Progress = SILENT,
) -> list[dict[str, object]]:
    """Write OUT/NAME.png (heat map and boxes over the photo) for each photo, and OUT/locate.json with all findings.

    A photo that cannot be used is recorded with its error, and the others are done.

    Args:
        photos: files, or folders whose pictures are taken.
        out: a folder, made if missing.
        classifier: see `load_classifier`.
        class_name: one of its classes; by default each photo's most likely one.
        threshold: share of the heat's maximum above which a pixel counts, in [0, 1).
        progress: receives the number of finished photos, and cancels.

    Raises:
        InputError: no photos, a file would be replaced that no earlier call made, an unknown classifier or class, or a
            threshold out of range.
        PartialFailure: after the rest is done, where some photos failed.
    """
    for folder in (photo for photo in photos if photo.is_dir()):
        require_outside(out, folder)
    files = [file for photo in photos for file in (list_images(photo) if photo.is_dir() else [photo])]
    if not files:
        raise InputError(f"no pictures in {', '.join(map(str, photos)) or 'an empty list'}; give files or a folder")
    names = overlay_names(files)
    require_apart([*(out / name for name in names), out / RECORD], [*files, Path(classifier)])
    loaded = load_classifier(classifier)
    if class_name is not None:
        class_index(loaded, class_name)
    for folder in (photo for photo in photos if photo.is_dir()):
        warn_of_skipped(folder, out=out)
    with claimed(out):
        _check_free(out, names)
        found = {"classifier": classifier, "threshold": threshold, "overlays": names}
        write_json(out / RECORD, found)  # before the first overlay: what lies there is ours, if we are stopped
        records: list[dict[str, object]] = []
        for file, name in progress.track(zip(files, names, strict=True), "locate", total=len(files)):
            records.append(_locate_file(file, out / name, loaded, class_name, threshold))
        write_json(out / RECORD, {**found, "photos": records})
    failures = {str(record["photo"]): str(record["error"]) for record in records if "error" in record}
    if failures:
        raise PartialFailure(failures, len(files))
    return records


def overlay_names(files: Sequence[Path]) -> list[str]:
    """Return a .png name for each file: its stem, with its suffix and a number where stems repeat."""
    taken: set[str] = set()
    names = []
    for file in files:
        numbered = (f"{file.stem}{file.suffix.replace('.', '_')}_{count}.png" for count in range(1, len(files) + 1))
        candidates = (f"{file.stem}.png", f"{file.stem}{file.suffix.replace('.', '_')}.png", *numbered)
        name = next(candidate for candidate in candidates if candidate.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _check_free(out: Path, names: Sequence[str]) -> None:
    """Raise InputError where a file exists that no earlier `locate` into this folder wrote."""
    try:
        record = read_json(out / RECORD)
        ours = set(record["overlays"]) if isinstance(record, dict) else set()
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if strange := [name for name in names if name not in ours and (out / name).exists()]:
        raise InputError(
            f"{out / strange[0]} is there already and was not made by locate; move it away, or give another folder"
        )


def _locate_file(
    file: Path, target: Path, classifier: Classifier, class_name: str | None, threshold: float
) -> dict[str, object]:
    """Locate a class in one photo, and return its entry in the record."""
    try:
        picture = read_image(file)
        warn_of_notes(picture)
        finding = locate(picture, classifier, class_name=class_name, threshold=threshold)
        write_image(target, Picture(overlay(picture.as_rgb8(), finding.heat, boxes=finding.boxes)))
    except FILE_ERRORS as problem:
        return {"photo": str(file), "error": problem_of(problem)}
    return {"photo": str(file), "overlay": target.name, **finding.as_record()}
