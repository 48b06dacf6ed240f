"""Localization: classifiers, detectors, class activation maps and regions, imported lazily; config of `locate`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads
from ganvas.lazy import lazy_names

if TYPE_CHECKING:
    from ganvas.localization.cam import (
        Finding,
        boxes_from_map,
        class_index,
        class_map,
        evidence_map,
        grad_cam,
        heat,
        locate,
        log_odds,
        margin_map,
        mask_from_map,
        overlay,
        upsample,
    )
    from ganvas.localization.classifier import Classifier, Evidence, Preprocessing
    from ganvas.localization.load import CLASSIFIERS, load_classifier
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "cam": "Finding boxes_from_map class_index class_map evidence_map grad_cam heat locate log_odds margin_map "
            "mask_from_map overlay upsample",
            "classifier": "Classifier Evidence Preprocessing",
            "load": "CLASSIFIERS load_classifier",
        },
    )

__all__ = [
    "CLASSIFIERS",
    "Classifier",
    "Evidence",
    "Finding",
    "LocateConfig",
    "Preprocessing",
    "boxes_from_map",
    "class_index",
    "class_map",
    "evidence_map",
    "grad_cam",
    "heat",
    "load_classifier",
    "locate",
    "log_odds",
    "margin_map",
    "mask_from_map",
    "overlay",
    "upsample",
]


@dataclass(frozen=True)
class LocateConfig:
    """Localization of a class, or of what detectors find, in photographs and films."""

    photos: tuple[Path, ...] = ()
    """Pictures, films, or folders of pictures."""
    _: KW_ONLY
    out: Path | None = None
    """Output folder; required unless classes are listed."""
    classifier: str = "imagenet"
    """nsfw, imagenet or the path of an .onnx file."""
    class_name: str | None = None
    """One of its classes; unset: the most likely one of each photograph."""
    detect: tuple[str, ...] = ()
    """Detectors instead of a classifier: faces, text, or an .onnx file; MODEL.onnx:person,car selects only these of its
    classes."""
    min_score: float | None = None
    """Lowest score of a detection; unset: the detector's own (faces 0.2, text 0.5, .onnx 0.25)."""
    threshold: float = 0.2
    """Share of the map's maximum above which a pixel counts (Zhou et al. 2016, Sec. 3: 0.2)."""
    list_classes: bool = False
    """Print the classes of the classifier, one per line, and read no picture."""
    threads: int | None = None
    """Number of CPU threads; unset: all."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        if self.out is None and not self.list_classes:
            raise ConfigError("the output folder is missing: pass --out FOLDER")
