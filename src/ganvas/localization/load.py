"""Classifiers by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganvas.errors import ConfigError
from ganvas.localization.activation import is_activation
from ganvas.localization.evidence import Classifier
from ganvas.localization.preprocess import Preprocessing

CLASSIFIERS = ("nsfw", "imagenet")
_NAMED_TENSORS = ("features", "head", "bias")


def load_classifier(name: str) -> Classifier:
    """Return a classifier by name: "nsfw" (Open NSFW), "imagenet" (EfficientNet-lite0), or the path of an .onnx file.

    A file MODEL.json beside MODEL.onnx may hold "class_names" (K strings), "activation" ("softmax" or "sigmoid"), any
    field of `Preprocessing`, and the tensor names "features", "head" and "bias"; without it names are numbers and
    preprocessing is the usual of ImageNet.

    Raises:
        ConfigError: no such classifier, or the .onnx or its .json is not what is needed.
        WeightsError: the weights are not installed or cannot be read.
    """
    if name == "nsfw":
        from ganvas.localization.open_nsfw import OpenNSFW

        return OpenNSFW()
    if name == "imagenet":
        from ganvas.localization.efficientnet_lite import load_efficientnet_lite0

        return load_efficientnet_lite0()
    if Path(name).suffix == ".onnx" and Path(name).is_file():
        return _load_onnx(Path(name))
    raise ConfigError(f"no classifier {name!r}; give {', '.join(CLASSIFIERS)} or the path of an .onnx file")


def _load_onnx(path: Path) -> Classifier:
    from ganvas.localization.onnx_classifier import OnnxClassifier

    sidecar = path.with_suffix(".json")
    record = _read_sidecar(sidecar)
    names, activation = record.pop("class_names", None), record.pop("activation", None)
    if activation is not None and not is_activation(activation):
        raise ConfigError(f'{sidecar}: activation {activation!r} is unknown; give "softmax" or "sigmoid"')
    tensors = {key: record.pop(key) for key in _NAMED_TENSORS if key in record}
    try:
        preprocessing = Preprocessing(**record) if record else None
    except TypeError as problem:
        raise ConfigError(f"{sidecar}: {problem}") from problem
    return OnnxClassifier(path, names, preprocessing=preprocessing, activation=activation, **tensors)


def _read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON object beside a model; empty where there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise ConfigError(f"{path} holds a {type(record).__name__}; expected an object")
    return record
