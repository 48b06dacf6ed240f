"""Model from an ONNX file: any network with one picture in and one out, for the translator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganvas.errors import ConfigError, ImageError, RunError
from ganvas.hardware.device import cores_for_networks
from ganvas.image.picture import DType, PictureSpec
from ganvas.image.ranges import signed_from_value, value_from_signed
from ganvas.inference.onnx_file import GraphFile, first_line
from ganvas.inference.onnx_trial import Sizes, Traits, check_traits, find_traits
from ganvas.inference.runtimes import TORCH, Run, RuntimeChoice
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.runs.export_metadata import ExportMetadata
from ganvas.runs.record import RunRecord

__all__ = ["OnnxConfig", "OnnxModel"]

FORMAT_KEY = "ganvas.format"
"""Key of the metadata of a file that `ganvas export` wrote."""
RANGE_KEY = "ganvas.value_range"
"""Key of an ONNX file's metadata: the values that mean black and white, such as "-1 1"."""
UNKNOWN_REACH = "how far an output pixel of this ONNX file sees is not known"
USUAL_SIDE = 256
"""Side of the pictures of a network of free size."""


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
        runtime: what computes it; by default ONNX Runtime.

    Raises:
        RunError: the file cannot be opened, or is no network from a picture to a picture; names the remedy.
    """

    resizes = False
    draws_noise = False

    def __init__(self, path: Path, runtime: RuntimeChoice = TORCH) -> None:
        graph = GraphFile(path, threads=cores_for_networks())
        self.path, self._dtype, self._batch = path, graph.input.dtype, graph.input.batch
        self._metadata = _own_metadata(path, graph.metadata)
        self._traits = self._stated_traits(graph) if self._metadata else _found_traits(graph)
        self._run: Run = runtime.opened(path, graph.run)

    def _stated_traits(self, graph: GraphFile) -> Traits:
        """Return what the file's own metadata say, compared with one run."""
        stated = self._metadata
        assert stated is not None
        shape = graph.input.shape
        traits = Traits(
            input_channels=stated.num_frames * stated.input.channels,
            output_channels=stated.output.channels,
            scale=stated.scale,
            size_multiple=stated.size_multiple,
            fixed_size=(shape[2], shape[3]),
            value_range=(0.0, 1.0),
            output_range=(0.0, 1.0),
        )
        check_traits(graph, traits)
        return traits

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

    @property
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel, where the file's own metadata say it."""
        return self._metadata.context if self._metadata else None

    @property
    def blend_reason(self) -> str:
        """Why tiles are not exact where `context` is None."""
        return Method.blend_reason if self._metadata else UNKNOWN_REACH

    @property
    def num_frames(self) -> int:
        """Frames of a film that are given along the channels."""
        return self._metadata.num_frames if self._metadata else 1

    def record(self) -> RunRecord:
        """Return the types of the pictures; a network whose training is unknown takes and makes 8 bits."""
        traits, stated = self._traits, self._metadata
        height, width = (side or USUAL_SIDE for side in traits.fixed_size)
        if stated:
            config = OnnxConfig(model=f"{stated.method} ({stated.run}, ONNX)")
            return RunRecord(method=config, input=stated.input, output=stated.output, image_size=(height, width))
        return RunRecord(
            method=OnnxConfig(model=f"ONNX ({self.path.name})"),
            input=PictureSpec(dtype=_picture_type(self._dtype), channels=traits.input_channels),
            output=PictureSpec(dtype=_picture_type(self._dtype), channels=traits.output_channels),
            image_size=(height, width),
        )

    def check_direction(self, direction: Direction) -> None:
        """Raise ConfigError unless it is the file's own, or a_to_b, as the only direction of a file is called."""
        if direction != "a_to_b" and not (self._metadata and self._metadata.direction == direction):
            raise ConfigError(
                f"{self.path} translates in one direction only: leave direction {direction} out; a run that learned "
                f"both ways exports the other with ganvas export --direction {direction}"
            )

    def require_no_noise(self, run: Path, runtime: str) -> None:
        """Raise ConfigError if the run's noise was switched off to export it: its translations would differ."""
        if self._metadata and self._metadata.noise != "none":
            raise ConfigError(
                f"{run} draws noise by dropout, which an exported network does not: leave --runtime {runtime} out"
            )

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, C', scale H, scale W) in [-1, 1].

        Raises:
            ConfigError: direction b_to_a.
            ImageError: the graph cannot be run on that size, makes another than in its trial, or values that are not
                finite.
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
        if not np.isfinite(first).all():  # before the range is clipped, which would hide infinite values
            raise ImageError(
                None, f"{self.path} makes NaN or infinite values of it; a network of float16 may need float32 here"
            )
        return signed_from_value(np.ascontiguousarray(first, np.float32), traits.output_range)

    def _arranged(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """Return (C, H, W) in [-1, 1] in the graph's range, layout, type and batch."""
        values = value_from_signed(image, self._traits.value_range)
        if self._dtype.kind != "f":
            values = np.rint(values)
        turned = np.moveaxis(values, 0, -1) if self._traits.channels_last else values
        return np.ascontiguousarray(np.broadcast_to(turned, (self._batch, *turned.shape)), self._dtype)


def _own_metadata(path: Path, metadata: dict[str, str]) -> ExportMetadata | None:
    """Return what `ganvas export` wrote into a file; None for a file from elsewhere.

    Raises:
        RunError: it is damaged.
    """
    if FORMAT_KEY not in metadata:
        return None
    try:
        return ExportMetadata.from_strings(metadata)
    except ConfigError as error:
        raise RunError(f"{path}: {error}") from error


def _found_traits(graph: GraphFile) -> Traits:
    return find_traits(graph, value_range=_stated_range(graph.path, graph.metadata))


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
