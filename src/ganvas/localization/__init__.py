"""Localization: classifiers, class activation maps, and regions in a picture. Names are imported lazily."""

from typing import TYPE_CHECKING

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
    from ganvas.localization.config import LocateConfig
    from ganvas.localization.load import CLASSIFIERS, load_classifier
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "cam": "Finding boxes_from_map class_index class_map evidence_map grad_cam heat locate log_odds margin_map "
            "mask_from_map overlay upsample",
            "classifier": "Classifier Evidence Preprocessing",
            "config": "LocateConfig",
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
