"""Model from an ONNX file: any network with one picture in and one out, for the translator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.errors import ConfigError, ImageError, RunError
from ganvas.image.picture import DType, PictureSpec
from ganvas.image.ranges import signed_from_value, value_from_signed
from ganvas.inference.onnx_file import GraphFile, first_line
from ganvas.inference.onnx_trial import Sizes, Traits, find_traits
from ganvas.methods.config import Direction
from ganvas.runs.record import RunRecord

__all__ = ["OnnxConfig", "OnnxModel"]

RANGE_KEY = "ganvas.value_range"
"""Key of an ONNX file's metadata: the values that mean black and white, such as "-1 1"."""
UNKNOWN_REACH = "how far an output pixel of this ONNX file sees is not known"
USUAL_SIDE = 256
"""Side of the pictures of a network of free size."""
Run = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class OnnxConfig:
    """What a record says of an ONNX file in place of a method.

    Attributes:
        model: what labels name as the model.
    """

    model: str


class OnnxModel:
    """A network in an ONNX file.

    Args:
        path: the .onnx file.
        threads: of one run.

    Raises:
        RunError: the file cannot be opened, or is no network from a picture to a picture; names the remedy.
    """

    resizes = False
    draws_noise = False
    num_frames = 1
    context: int | None = None
    blend_reason = UNKNOWN_REACH

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        graph = GraphFile(path, threads=threads)
        self.path, self._dtype, self._batch = path, graph.input.dtype, graph.input.batch
        self._traits: Traits = find_traits(graph, value_range=_stated_range(path, graph.metadata))
        self._run: Run = graph.run

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this, where they are free."""
        return self._traits.size_multiple

    @property
    def fixed_size(self) -> Sizes:
        """The only height and width that the graph takes."""
        return self._traits.fixed_size

    @property
    def scale(self) -> int:
        """Upscaling factor along each side."""
        return self._traits.scale

    def record(self) -> RunRecord:
        """Return the types of the pictures; a network whose training is unknown takes and makes 8 bits."""
        traits = self._traits
        height, width = (side or USUAL_SIDE for side in traits.fixed_size)
        return RunRecord(
            method=OnnxConfig(model=f"ONNX ({self.path.name})"),
            input=PictureSpec(dtype=_picture_type(self._dtype), channels=traits.input_channels),
            output=PictureSpec(dtype=_picture_type(self._dtype), channels=traits.output_channels),
            image_size=(height, width),
        )

    def check_direction(self, direction: Direction) -> None:
        """Raise ConfigError unless it is a_to_b."""
        if direction != "a_to_b":
            raise ConfigError(
                f"{self.path} translates in one direction only: leave direction {direction} out; a run that learned "
                f"both ways exports the other with ganvas export --direction {direction}"
            )

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, C', scale H, scale W) in [-1, 1].

        Raises:
            ConfigError: direction b_to_a.
            ImageError: the graph cannot be run on that size, or makes another than in its trial.
            MemoryError: memory runs out.
        """
        self.check_direction(direction)
        return torch.from_numpy(np.concatenate([self._translate_one(image) for image in images.numpy()]))

    def _translate_one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C, H, W) in [-1, 1] -> (1, C', scale H, scale W) in [-1, 1]."""
        height, width = image.shape[1:]
        traits = self._traits
        try:
            made = self._run(self._arranged(image))
        except Exception as error:  # a runtime's exceptions have no other base class
            if any(sign in str(error).lower() for sign in ("alloc", "memory")):
                raise MemoryError(first_line(error)) from error
            raise ImageError(
                None, f"{self.path} cannot be run on {width} x {height} pixels: {first_line(error)}"
            ) from (error)
        first = (np.moveaxis(made, -1, 1) if traits.output_last else made)[:1]
        expected = (1, traits.output_channels, traits.scale * height, traits.scale * width)
        if first.shape != expected:
            raise ImageError(
                None,
                f"{self.path} makes {first.shape} of {width} x {height} pixels where {expected} was expected; its "
                "sizes are not those of its trial: export it with a fixed size",
            )
        return signed_from_value(np.ascontiguousarray(first, np.float32), traits.output_range)

    def _arranged(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """Return (C, H, W) in [-1, 1] in the graph's range, layout, type and batch."""
        values = value_from_signed(image, self._traits.value_range)
        if self._dtype.kind != "f":
            values = np.rint(values)
        turned = np.moveaxis(values, 0, -1) if self._traits.channels_last else values
        return np.ascontiguousarray(np.broadcast_to(turned, (self._batch, *turned.shape)), self._dtype)


def _picture_type(dtype: np.dtype[Any]) -> DType:
    return "uint16" if dtype == np.uint16 else "uint8"


def _stated_range(path: Path, metadata: dict[str, str]) -> tuple[float, float] | None:
    """Return the value range of a file's metadata; None where it says nothing.

    Raises:
        RunError: it is no pair of numbers in order.
    """
    if RANGE_KEY not in metadata:
        return None
    try:
        low, high = map(float, metadata[RANGE_KEY].split())
    except ValueError:
        low = high = 0.0
    if not np.isfinite([low, high]).all() or low >= high:
        raise RunError(
            f'{path}: {RANGE_KEY} of its metadata is {metadata[RANGE_KEY]!r}; give two numbers in order: "0 1", "-1 1"'
        )
    return low, high
