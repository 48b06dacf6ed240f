"""Loading of classifiers by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganvas.errors import ConfigError, GanvasError, InputError
from ganvas.localization.activation import is_activation
from ganvas.localization.evidence import Classifier
from ganvas.localization.preprocess import Preprocessing
from ganvas.serialization import from_record, read_json

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
    except Exception as problem:  # a graph may hold anything, and neither onnx nor numpy has a class for that
        raise ConfigError(f"{path}: its graph cannot be used ({type(problem).__name__}: {problem})") from problem


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Return the JSON object beside a model; empty where there is none."""
    try:
        record = read_json(path) if path.is_file() else {}
    except ValueError as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise ConfigError(f"{path} holds a {type(record).__name__}; expected an object")
    return record
