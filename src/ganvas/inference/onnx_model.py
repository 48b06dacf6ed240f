"""Model of an ONNX file, with which the translator runs any network from a picture to a picture."""

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
"""Metadata key that marks a file written by `ganvas export`."""
RANGE_KEY = "ganvas.value_range"
"""Metadata key of the values of black and white, such as "-1 1"."""
UNKNOWN_REACH = "the receptive field of this ONNX file is unknown"
USUAL_SIDE = 256
"""Side of the pictures with which a network of dynamic size is tried."""


@dataclass(frozen=True, kw_only=True)
class OnnxConfig:
    """Entry of a record for an ONNX file in place of a method's config.

    Attributes:
        model: name of the model in labels.
    """

    model: str


class OnnxModel:
    """Model that runs the network of an ONNX file.

    Args:
        path: the .onnx file.
        runtime: runtime that executes it; by default ONNX Runtime.

    Raises:
        RunError: the file cannot be opened, or is not a network from a picture to a picture; names the remedy.
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
        """Return the traits declared in the file's metadata, verified with one run."""
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
        """Number of which height and width must be multiples, if they are dynamic."""
        return self._traits.size_multiple

    @property
    def smallest_side(self) -> int:
        """Smallest height and width that ganvas declared in the file; 1 for other files, which were tried out."""
        return self._metadata.smallest_side if self._metadata else 1

    @property
    def fixed_size(self) -> Sizes:
        """The only height and width that the graph accepts."""
        return self._traits.fixed_size

    @property
    def scale(self) -> int:
        """Upscaling factor along each side."""
        return self._traits.scale

    @property
    def context(self) -> int | None:
        """Distance in pixels up to which inputs influence an output pixel, if the file's metadata declare it."""
        return self._metadata.context if self._metadata else None

    @property
    def blend_reason(self) -> str:
        """Reason why tiles are not exact if `context` is None."""
        return Method.blend_reason if self._metadata else UNKNOWN_REACH

    @property
    def num_frames(self) -> int:
        """Number of frames of a film that are concatenated along the channels."""
        return self._metadata.num_frames if self._metadata else 1

    def record(self) -> RunRecord:
        """Return the types of the pictures; a network of unknown training reads and writes 8 bits."""
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
        """Raise ConfigError unless the direction is that of the file or a_to_b, the name of an only direction."""
        if direction != "a_to_b" and not (self._metadata and self._metadata.direction == direction):
            raise ConfigError(
                f"{self.path} translates in one direction only: omit direction {direction}; export the other "
                f"direction of a run that learned both with ganvas export --direction {direction}"
            )

    def require_no_noise(self, run: Path, runtime: str) -> None:
        """Raise ConfigError if the run's noise was switched off to export it: its translations would differ."""
        if self._metadata and self._metadata.noise != "none":
            raise ConfigError(
                f"{run} draws noise by dropout, which exported networks do not support: omit --runtime {runtime}"
            )

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, C', scale H, scale W) in [-1, 1].

        Raises:
            ConfigError: direction b_to_a.
            ImageError: the graph cannot run on that size, its output has another size than in the trial, or values are
                not finite.
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
        except Exception as error:  # exceptions of runtimes have no other base class
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
                "sizes differ from those in its trial: export it with a fixed size",
            )
        if not np.isfinite(first).all():  # before clipping, which would hide infinite values
            raise ImageError(None, f"{self.path} returns NaN or infinite values; a float16 network may need float32")
        return signed_from_value(np.ascontiguousarray(first, np.float32), traits.output_range)

    def _arranged(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """Return (C, H, W) in [-1, 1] in the graph's range, layout, type and batch."""
        values = value_from_signed(image, self._traits.value_range)
        if self._dtype.kind != "f":
            values = np.rint(values)
        turned = np.moveaxis(values, 0, -1) if self._traits.channels_last else values
        return np.ascontiguousarray(np.broadcast_to(turned, (self._batch, *turned.shape)), self._dtype)


def _own_metadata(path: Path, metadata: dict[str, str]) -> ExportMetadata | None:
    """Return the metadata that `ganvas export` wrote; None for other files.

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
    """Return the value range in a file's metadata; None if it is not declared.

    Raises:
        RunError: it is not a pair of increasing numbers.
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
