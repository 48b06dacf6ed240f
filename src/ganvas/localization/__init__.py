"""Localization: classifiers, class activation maps, and regions in a picture."""

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
from ganvas.localization.evidence import Classifier, Evidence
from ganvas.localization.load import CLASSIFIERS, load_classifier
from ganvas.localization.locate import Finding, class_index, locate
from ganvas.localization.preprocess import Preprocessing

__all__ = [
    "CLASSIFIERS",
    "Classifier",
    "Evidence",
    "Finding",
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
