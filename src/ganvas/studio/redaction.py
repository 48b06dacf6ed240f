"""Redaction tasks of the studio: region search in one picture, redaction of uploads, and training pairs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from ganvas import api
from ganvas.errors import ConfigError, PartialFailure
from ganvas.filesystem.atomic import write_json
from ganvas.image.cover import Cover
from ganvas.image.files import read_image
from ganvas.image.picture import Box
from ganvas.localization import boxes_from_map, load_classifier
from ganvas.localization.cam import color_map, locate
from ganvas.localization.detectors import DetectionConfig, covered_boxes, find_in_picture
from ganvas.localization.load import load_detectors
from ganvas.progress import Progress
from ganvas.redaction.film_report import frames_path, page_path
from ganvas.redaction.redact import cosmetic
from ganvas.redaction.verifier import Verifier
from ganvas.studio.views import first_frame, write_rgb, write_view
from ganvas.video import is_film

__all__ = ["FindTask", "Finder", "PairsTask", "RedactTask", "Source", "Strength"]

HEAT_OPACITY = 0.75
"""Opacity of the heat map at its maximum."""


@dataclass(frozen=True, kw_only=True)
class Finder:
    """Classifier and detectors that find regions.

    Attributes:
        classifier: nsfw, imagenet or the path of an .onnx file; None for none.
        class_name: one of its classes.
        detect: detectors, see `RedactConfig.detect`.
        coverage: see `RedactConfig.coverage`.
        margin: see `RedactConfig.margin`.
        min_score: see `RedactConfig.min_score`.
    """

    classifier: str | None = None
    class_name: str | None = None
    detect: tuple[str, ...] = ()
    coverage: float | None = None
    margin: float = 0.2
    min_score: float | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is neither a classifier nor a detector."""
        return self.classifier is None and not self.detect


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Style and strength of a cover.

    Attributes:
        style: see `RedactConfig.style`.
        blocks: see `RedactConfig.blocks`.
        sigma: see `RedactConfig.sigma`.
    """

    style: Literal["solid", "mosaic", "blur"] = "solid"
    blocks: int | None = None
    sigma: float | None = None

    @property
    def cover(self) -> Cover:
        """Return the cover after validation."""
        return Cover(style=self.style, blocks=self.blocks, sigma=self.sigma)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source of a task: an upload.

    Attributes:
        id: id of the upload.
        name: name of the result.
        path: the file.
        mask: the painted region, or None.
    """

    id: str
    name: str
    path: Path
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True)
class FindTask:
    """Search for regions in a picture, or the first frame of a film: boxes with scores, and a heat map."""

    source: Source
    finder: Finder
    folder: Path

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return the boxes to cover with label and score, the score of the class, and the path of the heat map.

        Raises:
            GanvasError: the classifier or a detector cannot be used, or the picture cannot be read.
        """
        film = is_film(self.source.path)
        picture = first_frame(self.source.path) if film else read_image(self.source.path)
        found: dict[str, Any] = {"boxes": [], "heat_path": None, "class": None, "score": None}
        progress.check()
        finder = self.finder
        if finder.classifier is not None:
            verifier = Verifier.of(load_classifier(finder.classifier), finder.class_name, coverage=finder.coverage)
            seen = locate(picture, verifier.classifier, class_name=verifier.class_name)
            boxes = boxes_from_map(seen.heat, threshold=1 - verifier.coverage, largest_only=False)
            found |= {"class": seen.class_name, "score": round(seen.score, 4)}
            found["boxes"] += [_box(box, seen.class_name, seen.score) for box in boxes]
            if seen.heat.any():
                opacity = HEAT_OPACITY * 255 * np.sqrt(seen.heat)
                layer = np.dstack([color_map(seen.heat), opacity]).round().astype(np.uint8)
                write_rgb(layer, self.folder / "heat.png")
                found["heat_path"] = str(self.folder / "heat.png")
        progress.check()
        if finder.detect:
            config = DetectionConfig(detect=finder.detect, margin=finder.margin, min_score=finder.min_score)
            for one in find_in_picture(picture, load_detectors(finder.detect), config):
                grown = covered_boxes([one], config, picture.height, picture.width)
                found["boxes"] += [_box(box, one.label, one.score) for box in grown]
        return found


def _box(box: Box, label: str, score: float) -> dict[str, Any]:
    return {"box": [box.left, box.top, box.right, box.bottom], "label": label, "score": round(score, 4)}


@dataclass(frozen=True, kw_only=True)
class RedactTask:
    """Redaction of uploads like `ganvas redact`, with its log."""

    sources: Sequence[Source]
    finder: Finder
    strength: Strength
    folder: Path
    mask_only: bool = False
    """Whether to cover only painted regions, even if nothing is painted."""

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return for each upload its log line and the paths of result, view and page, or the reason of its failure.

        Raises:
            GanvasError: the settings are invalid, or the classifier or a detector cannot be used.
        """
        source, out, masks = (self.folder / name for name in ("in", "out", "masks"))
        link_sources(self.sources, source)
        self._write_masks(masks)
        finder = Finder() if self.mask_only else self.finder
        failures: dict[str, str] = {}
        try:
            api.redact(
                source, out, classifier=finder.classifier, class_name=finder.class_name, detect=finder.detect,
                coverage=finder.coverage, margin=finder.margin, min_score=finder.min_score,
                mask=masks if any(masks.iterdir()) else None, style=self.strength.style, blocks=self.strength.blocks,
                sigma=self.strength.sigma,
            )  # fmt: skip
        except PartialFailure as failure:
            failures = failure.failures
        lines = {line["file"]: line for line in _lines(out / "redaction.jsonl")}
        progress.check()
        results = [self._result(one, out, lines.get(one.name, {}), failures.get(one.name)) for one in self.sources]
        warning = cosmetic(self.strength.cover)
        return {"results": results, "warning": warning}

    def _write_masks(self, masks: Path) -> None:
        """Write the painted masks; without classifier and detectors, pictures without a mask get a black one."""
        masks.mkdir()
        for one in self.sources:
            target = masks / f"{PurePath(one.name).stem}.png"
            if one.mask is not None:
                shutil.copyfile(one.mask, target)
            elif self.mask_only or self.finder.is_empty:
                picture = first_frame(one.path) if is_film(one.path) else read_image(one.path)
                write_rgb(np.zeros((picture.height, picture.width, 3), np.uint8), target)

    def _result(self, source: Source, out: Path, line: dict[str, Any], failure: str | None) -> dict[str, Any]:
        result, problem = out / source.name, failure or line.get("failed")
        if problem or not line or not result.is_file():
            return {"id": source.id, "problem": problem or "it was not processed", "line": line}
        view = self.folder / f"{source.id}.view.png"
        film = "film" in line
        write_view(first_frame(result) if film else read_image(result), view)
        log = out / "redaction.jsonl"
        beside = (frames_path(log, source.name), page_path(log, source.name)) if film else ()
        return {
            "id": source.id, "line": line, "result_path": str(result), "view_path": str(view),
            "companions": [str(path) for path in beside if path.is_file()],
            "sought": not (self.mask_only or self.finder.is_empty), "painted": source.mask is not None,
        }  # fmt: skip


def link_sources(sources: Sequence[Source], folder: Path) -> None:
    """Create a folder of links to uploads, with the names of their results."""
    folder.mkdir()
    for one in sources:
        os.link(one.path, folder / one.name)


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


@dataclass(frozen=True, kw_only=True)
class PairsTask:
    """Creation of training pairs from redacted pictures by `ganvas prepare`, with its content gate."""

    sources: Sequence[Source]
    boxes: dict[str, list[list[int]]]
    """Name -> covered boxes."""
    strength: Strength
    folder: Path
    out: Path

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return the number of pairs, and a sentence.

        Raises:
            ConfigError: the style leaves nothing to restore.
            PolicyRefusal: the content gate refused too many pictures.
        """
        progress.check()
        if self.strength.style == "solid":
            raise ConfigError("a solid cover leaves nothing to restore; choose mosaic or blur for training pairs")
        link_sources(self.sources, self.folder / "in")
        write_json(self.folder / "boxes.json", self.boxes)
        sides = [max(box[2] - box[0], box[3] - box[1]) for boxes in self.boxes.values() for box in boxes]
        cover, longer = self.strength.cover, sorted(sides)[len(sides) // 2] if sides else 64
        is_mosaic = self.strength.style == "mosaic"
        size = float(cover.block_side(longer)) if is_mosaic else cover.blur_sigma(longer)
        prepared = api.prepare(
            self.folder / "in",
            self.out,
            degrade="mosaic" if is_mosaic else "blur",
            strength=(size, size),
            where="boxes",
            boxes=self.folder / "boxes.json",
        )
        return {"text": str(prepared), "folder": self.out.name}
