"""Localization: classifiers, class activation maps, and regions in a picture. Names are imported lazily."""

from typing import TYPE_CHECKING

from ganvas.lazy import lazy_names

if TYPE_CHECKING:
    from ganvas.localization.cam import (
        boxes_from_map,
        class_map,
        evidence_map,
        grad_cam,
        heat,
        log_odds,
        margin_map,
        mask_from_map,
        overlay,
        upsample,
    )
    from ganvas.localization.config import LocateConfig
    from ganvas.localization.evidence import Classifier, Evidence
    from ganvas.localization.finding import Finding, class_index, locate
    from ganvas.localization.load import CLASSIFIERS, load_classifier
    from ganvas.localization.preprocess import Preprocessing
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "cam": "boxes_from_map class_map evidence_map grad_cam heat log_odds margin_map mask_from_map overlay "
            "upsample",
            "config": "LocateConfig",
            "evidence": "Classifier Evidence",
            "finding": "Finding class_index locate",
            "load": "CLASSIFIERS load_classifier",
            "preprocess": "Preprocessing",
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
