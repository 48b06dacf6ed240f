"""Loading of classifiers and detectors by name, with imports on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganvas.errors import ConfigError, GanvasError, InputError
from ganvas.localization.classifier import Classifier, Preprocessing, is_activation
from ganvas.localization.detectors import DETECTORS, LONGEST, Detector
from ganvas.serialization import from_record, read_json

CLASSIFIERS = ("nsfw", "imagenet")
ONNX = ".onnx"
_NAMED_TENSORS = ("features", "head", "bias")


def load_classifier(name: str) -> Classifier:
    """Return a classifier by name: "nsfw" (Open NSFW), "imagenet" (EfficientNet-lite0), or the path of an .onnx file.

    A file MODEL.json beside MODEL.onnx may contain "class_names" (K strings), "activation" ("softmax" or "sigmoid"),
    any field of `Preprocessing`, and the tensor names "features", "head" and "bias"; by default, names are numbers and
    preprocessing is that of ImageNet classifiers.

    Raises:
        ConfigError: no such classifier, or the .onnx or its .json is not usable.
        WeightsError: the weights are not installed or cannot be read.
    """
    if name == "nsfw":
        from ganvas.localization.open_nsfw import OpenNSFW  # slow to import

        return OpenNSFW()
    if name == "imagenet":
        from ganvas.localization.efficientnet_lite import load_efficientnet_lite0  # slow to import

        return load_efficientnet_lite0()
    if Path(name).suffix == ONNX and Path(name).is_file():
        return _load_onnx(Path(name))
    raise ConfigError(f"unknown classifier {name!r}; use {', '.join(CLASSIFIERS)} or the path of an .onnx file")


def _load_onnx(path: Path) -> Classifier:
    from ganvas.localization.onnx_classifier import OnnxClassifier  # slow to import

    sidecar = path.with_suffix(".json")
    record = _read_sidecar(sidecar)
    names, activation = record.pop("class_names", None), record.pop("activation", None)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ConfigError(f"{sidecar}: class_names must be a list of strings, one for each class")
    if activation is not None and not is_activation(activation):
        raise ConfigError(f'{sidecar}: activation {activation!r} is unknown; give "softmax" or "sigmoid"')
    tensors = {key: record.pop(key) for key in _NAMED_TENSORS if key in record}
    if odd := [key for key, value in tensors.items() if not isinstance(value, str)]:
        raise ConfigError(f"{sidecar}: {odd[0]} must be the name of a tensor")
    try:
        preprocessing = from_record(Preprocessing, record) if record else None
    except InputError as problem:
        raise ConfigError(f"{sidecar}: {problem}") from problem
    try:
        return OnnxClassifier(path, names, preprocessing=preprocessing, activation=activation, **tensors)
    except GanvasError:
        raise
    except Exception as problem:  # neither onnx nor numpy has an exception class for unsupported graphs
        raise ConfigError(f"{path}: its graph cannot be used ({type(problem).__name__}: {problem})") from problem


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Return the JSON object beside a model; empty if there is none."""
    try:
        record = read_json(path) if path.is_file() else {}
    except ValueError as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise ConfigError(f"{path} contains a {type(record).__name__}; expected an object")
    return record


def load_detectors(names: Sequence[str], *, threads: int | None = None, longest: int = LONGEST) -> list[Detector]:
    """Return detectors by name: "faces" (CenterFace), "text" (PP-OCR), or a YOLO-style .onnx file.

    Args:
        names: for a file, a colon and class names after it select classes: "yolo.onnx:person,car".
        threads: threads of each network; None for all cores. Use 1 if several pictures are examined at once.
        longest: see `DetectionConfig.longest`.

    Raises:
        ConfigError: no names, an unknown or repeated name, or an .onnx file that is not a detector.
        WeightsError: a detector's package is not installed; the message contains the command that installs it.
    """
    if not names:
        raise ConfigError(f"no detectors; expected {', '.join(DETECTORS)} or the path of an .onnx file")
    if twice := sorted({name for name in names if list(names).count(name) > 1}):
        raise ConfigError(f"{twice[0]} is repeated; name each detector once")
    return [_load_detector(name, threads, longest) for name in names]


def _load_detector(name: str, threads: int | None, longest: int) -> Detector:
    if name == "faces":
        from ganvas.localization.packaged_detectors import FaceDetector  # slow to import

        return FaceDetector(threads=threads, longest=longest)
    if name == "text":
        from ganvas.localization.packaged_detectors import TextDetector  # slow to import

        return TextDetector(threads=threads, longest=longest)
    file, colon, classes = name.rpartition(f"{ONNX}:")
    path = Path(f"{file}{ONNX}" if colon else name)
    if path.suffix == ONNX and path.is_file():
        from ganvas.localization.yolo import YoloDetector  # slow to import

        wanted = tuple(each.strip() for each in classes.split(",")) if colon else ()
        return YoloDetector(path, classes=wanted, threads=threads)
    raise ConfigError(f"unknown detector {name!r}; use {', '.join(DETECTORS)} or the path of an .onnx file that exists")
