"""Softmax and sigmoid of a classifier's logits, and recognition of the one that its output shows."""

from __future__ import annotations

import warnings
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError

__all__ = [
    "Activation",
    "AssumedActivationWarning",
    "activate",
    "is_activation",
    "recognize",
    "require_activation",
    "resolve",
    "warn_if_assumed",
]

Activation = Literal["softmax", "sigmoid"]
"""softmax: exactly one class is present; sigmoid: each class is present or absent by itself."""
Logits = NDArray[np.float64]
REMEDY = 'say "activation": "softmax" (one class a picture) or "sigmoid" (each class by itself)'


class AssumedActivationWarning(UserWarning):
    """Scores come from an assumed softmax."""


def activate(logits: Logits, activation: Activation | None) -> Logits:
    """Return the probabilities (..., K) of logits (..., K); an unknown activation counts as a softmax."""
    if activation == "sigmoid":
        halved: Logits = 0.5 * np.tanh(0.5 * logits) + 0.5  # never overflows
        return halved
    powers: Logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def recognize(output: NDArray[Any], logits: Logits, *, tolerance: float) -> set[Activation | None]:
    """Return every activation by which `output` can have come from `logits`: None for the logits themselves.

    The logarithm of a probability counts as its activation. An empty set means that the output comes from elsewhere.

    Args:
        output: (N, K), what the model says.
        logits: (N, K), what pooling and the linear layer give.
        tolerance: largest difference, as a share of the largest magnitude and at least of 1.
    """
    candidates: list[tuple[Activation | None, Logits]] = [(None, logits)]
    for kind in ("softmax", "sigmoid"):
        scores = activate(logits, kind)
        candidates += [(kind, scores), (kind, np.log(np.maximum(scores, np.finfo(np.float32).tiny)))]
    return {kind for kind, values in candidates if _agree(output, values, tolerance)}


def _agree(output: NDArray[Any], expected: Logits, tolerance: float) -> bool:
    if output.shape != expected.shape:
        return False
    scale = max(1.0, float(np.abs(expected).max()))
    return bool(np.abs(output.astype(np.float64) - expected).max() <= tolerance * scale)  # False for NaN


def resolve(shown: Activation | None, given: Activation | None, *, num_classes: int, where: str) -> Activation | None:
    """Return the activation of a classifier, or None where neither the model nor the user says it.

    Args:
        shown: by the model's own output; None where that is logits.
        given: by the user; None where not given.
        num_classes: K. One logit is a sigmoid's: the softmax of one number is always 1.
        where: the file or module, for messages.

    Raises:
        ConfigError: the two disagree, or a softmax has one output.
    """
    if shown is not None and given is not None and shown != given:
        raise ConfigError(
            f"{where}: the model ends in a {shown}, but the activation is given as {given!r}; leave it out"
        )
    found = shown or given
    if num_classes > 1:
        return found
    if found == "softmax":
        raise ConfigError(f"{where}: a softmax of one output is always 1; one output needs a sigmoid, or two classes")
    return "sigmoid"


def is_activation(value: object) -> TypeGuard[Activation]:
    """Return whether a value read from a file is the name of an activation."""
    return value in ("softmax", "sigmoid")


def require_activation(activation: Activation | None) -> Activation:
    """Return the activation where scores decide what is released.

    Raises:
        ConfigError: it is unknown; the message names the remedy.
    """
    if activation is None:
        raise ConfigError(
            f"the classifier gives logits, and nothing says what makes scores of them: {REMEDY}"
            " in MODEL.json beside MODEL.onnx, or activation=... in Python"
        )
    return activation


def warn_if_assumed(activation: Activation | None, *, stacklevel: int = 2) -> None:
    """Warn where scores are those of an assumed softmax."""
    if activation is None:
        warnings.warn(
            f"the classifier gives logits; its scores are taken to be a softmax's: {REMEDY} in MODEL.json beside"
            " MODEL.onnx, or activation=... in Python",
            AssumedActivationWarning,
            stacklevel=stacklevel + 1,
        )
