"""A reader of pickles that hold numpy arrays in plain containers, and of no others.

No name in the file is looked up: the three that numpy writes are answered by classes of our own, which only keep what
they are given. Arrays are made afterwards from checked values, so a hostile file can neither run code nor reach numpy.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import WeightsError

__all__ = ["NestedArrays", "read_numpy_pickle"]

NestedArrays = dict[str, "NDArray[Any] | NestedArrays"]
ITEM_TYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


def read_numpy_pickle(path: Path) -> NestedArrays:
    """Arrays by name, in nested dictionaries; read-only views of what was read.

    Raises:
        WeightsError: the file holds anything else.
    """
    with path.open("rb") as file:
        try:
            content = _Reader(file).load()
        except Exception as problem:
            raise WeightsError(f"{path} is not a pickle of numpy arrays: {problem}") from problem
    if not isinstance(content, dict):
        raise WeightsError(f"{path} does not hold arrays by name")
    return {_name(key, path): _arrays(value, path) for key, value in content.items()}


class _ItemType:
    """In place of numpy.dtype: its code, then its state (version, byte order, ...)."""

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.order, *rest = state
        if any(rest[:3]):  # sub-array, names, fields
            raise pickle.UnpicklingError("an array of records")

    def numpy(self) -> np.dtype[Any]:
        """The type of plain numbers it stands for."""
        if self.code not in ITEM_TYPES or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"an array of {self.code!r}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """In place of numpy.ndarray: its state (version, shape, type, in Fortran's order, bytes)."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def numpy(self) -> NDArray[Any]:
        """The array it stands for."""
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
        """A stand-in for what numpy writes."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS[module, name]


def _arrays(value: object, path: Path) -> NDArray[Any] | NestedArrays:
    if isinstance(value, dict):
        return {_name(key, path): _arrays(inner, path) for key, inner in value.items()}
    if not isinstance(value, _Array):
        raise WeightsError(f"{path} holds a {type(value).__name__} where an array should be")
    try:
        return value.numpy()
    except (pickle.UnpicklingError, ValueError, TypeError) as problem:
        raise WeightsError(f"{path} holds a broken array: {problem}") from problem


def _name(key: object, path: Path) -> str:
    if not isinstance(key, str):
        raise WeightsError(f"{path} holds an array whose name is {key!r}")
    return key
