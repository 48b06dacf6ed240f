"""Probing of an ONNX graph: determines layout, scale, size multiple and channels by trial runs.

The graph runs on noise of chosen sizes. A size fits if the graph returns a picture whose height and width are the same
integer multiple of those of the input.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import RunError
from ganvas.image.ranges import MAX_CHANNELS
from ganvas.inference.onnx_file import GraphFile, GraphInput, first_line, not_a_picture
from ganvas.inference.tiling import SMALLEST_SIDE

__all__ = ["Sizes", "Traits", "ValueRangeWarning", "check_traits", "find_traits", "value_range_of"]

Sizes = tuple[int | None, int | None]
"""The only height and the only width that a network accepts; None if it accepts several."""
MULTIPLES = (*range(1, 11), 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Size multiples to try, smallest first."""
SQUARES = (64, 128, 224, 256, 299, 320, 384, 512)
"""Sizes to try for graphs that declare dynamic sizes but accept only one."""
MOST_ATTEMPTED = 64
"""Largest size multiple to try for graphs that run but return a picture of another size."""
COLOR_CHANNELS = (3, 1)
"""Numbers of channels to try if the number is dynamic."""
COLORS = (1, 3, 4)
"""Sizes of a last dimension that is interpreted as channels."""
LEVELS = 2.0
"""Largest value of floats in [0, 1]; larger values are levels up to 255."""
FAR = 16.0
"""Largest value that a network for [0, 1] or [-1, 1] can return for noise; sharpening overshoots far less."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Properties of a graph from a picture to a picture.

    Attributes:
        channels_last: whether the input is (N, H, W, C) rather than (N, C, H, W).
        output_last: the same for the output.
        input_channels: number of channels of the input.
        output_channels: number of channels of the output.
        scale: factor of the output's height and width.
        size_multiple: number of which dynamic height and width must be multiples.
        fixed_size: the only sizes that the graph accepts.
        value_range: values of black and white in the input.
        output_range: the same for the output.
    """

    channels_last: bool = False
    output_last: bool = False
    input_channels: int
    output_channels: int
    scale: int
    size_multiple: int
    fixed_size: Sizes
    value_range: tuple[float, float]
    output_range: tuple[float, float]


@dataclass(frozen=True)
class _Layout:
    """Interpretation of the input's shape."""

    channels: int
    channels_last: bool
    sides: Sizes


def value_range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the range of an element type: [0, 1] for floats, 16 bits for uint16, 8 bits for other integers."""
    return (0.0, 1.0) if dtype.kind == "f" else (0.0, 65535.0 if dtype == np.uint16 else 255.0)


class ValueRangeWarning(UserWarning):
    """Warning that a network seems to use another value range than [0, 1]; the message gives the remedy."""


def find_traits(graph: GraphFile, *, value_range: tuple[float, float] | None = None) -> Traits:
    """Run a graph on noise of many sizes until one fits.

    Args:
        graph: the opened file.
        value_range: value range of input and output, if known.

    Raises:
        RunError: no size fits, or the output is not a picture; names the remedy.
    """
    found, reach = _found(graph, value_range)
    floats = graph.input.dtype.kind == "f" and found.output_range == value_range_of(graph.input.dtype)
    if value_range is None and floats and reach > FAR:
        warnings.warn(
            f"{graph.path} returns values up to {reach:.3g} for inputs in [0, 1], which become black and white: if it "
            'expects levels up to 255, write ganvas.value_range "0 255" into its metadata',
            ValueRangeWarning,
            stacklevel=2,
        )
    return found


def _found(graph: GraphFile, value_range: tuple[float, float] | None) -> tuple[Traits, float]:
    """Return the traits, and the largest absolute value of the output for noise."""
    trial = _Trial(graph, value_range)
    layouts = list(_layouts(graph.path, graph.input))
    for layout in layouts:
        if found := trial.free_sizes(layout):
            return found, trial.reach
    for layout, side in product(layouts, SQUARES):
        if layout.sides == (None, None) and (found := trial.fits(layout, (side, side), multiple=side)):
            return replace(found, size_multiple=1, fixed_size=(side, side)), trial.reach
    raise RunError(f"{graph.path}: {trial.problem}")


def check_traits(graph: GraphFile, traits: Traits) -> None:
    """Run a graph once and compare the result with its metadata.

    Raises:
        RunError: they differ.
    """
    layout = _Layout(traits.input_channels, traits.channels_last, traits.fixed_size)
    trial = _Trial(graph, traits.value_range)
    least = -(-SMALLEST_SIDE // traits.size_multiple) * traits.size_multiple
    height, width = (side or least for side in traits.fixed_size)
    found = trial.fits(layout, (height, width), multiple=traits.size_multiple)
    if found is None:
        raise RunError(f"{graph.path}: {trial.problem}")
    said, made = (traits.scale, traits.output_channels), (found.scale, found.output_channels)
    if said != made:
        raise RunError(
            f"{graph.path}: its metadata declare scale {said[0]} and {said[1]} channels, but its output has scale "
            f"{made[0]} and {made[1]} channels; export it again"
        )


def _layouts(path: Path, given: GraphInput) -> Iterator[_Layout]:
    """Yield the interpretations of the input's shape, the most common first.

    Raises:
        RunError: no dimension has a plausible number of channels.
    """
    _, first, middle, last = given.shape
    usual, at_end = (first, False, (middle, last)), (last, True, (first, middle))
    layouts = [usual, at_end] if first is None else [usual]
    if last in COLORS and first not in COLORS:  # real pictures are never so narrow
        layouts = [at_end]
    found = False
    for channels, is_last, sides in layouts:
        for one in COLOR_CHANNELS if channels is None else (channels,):
            if one <= MAX_CHANNELS:
                found = True
                yield _Layout(one, is_last, sides)
    if not found:
        raise RunError(
            f"{path}: its input has the shape {given.shape}; pictures have 1 to {MAX_CHANNELS} channels: export it "
            "as (N, C, H, W)"
        )


class _Trial:
    """Trial runs of one graph.

    Attributes:
        problem: reason why the last size did not fit.
        reach: largest absolute value of the last output that did.
    """

    def __init__(self, graph: GraphFile, value_range: tuple[float, float] | None) -> None:
        self._graph, self._range = graph, value_range
        self.problem, self.reach, self._runs = "", 0.0, False

    def free_sizes(self, layout: _Layout) -> Traits | None:
        """Return the traits with the smallest size multiple that fits; None if none fits."""
        if None not in layout.sides:
            height, width = layout.sides
            assert height is not None
            assert width is not None
            return self.fits(layout, (height, width), multiple=1)
        for multiple in MULTIPLES:
            if multiple > MOST_ATTEMPTED and self._runs:
                break
            one, other = _odd_multiples(multiple)
            found = self._fits_free(layout, (one, other), multiple)
            if found and self._fits_free(layout, (other, one), multiple) == found:
                return found
        return None

    def _fits_free(self, layout: _Layout, sizes: tuple[int, int], multiple: int) -> Traits | None:
        height, width = (side or size for side, size in zip(layout.sides, sizes, strict=True))
        return self.fits(layout, (height, width), multiple=multiple)

    def fits(self, layout: _Layout, size: tuple[int, int], *, multiple: int) -> Traits | None:
        """Run the graph on noise of that height and width; return its traits, or None if the size does not fit.

        Raises:
            RunError: the output is not a picture, whatever the size.
        """
        self._runs = False
        graph, (height, width) = self._graph, size
        low, high = self._range or value_range_of(graph.input.dtype)
        shape = (height, width, layout.channels) if layout.channels_last else (layout.channels, height, width)
        noise = np.random.default_rng(0).random(shape, dtype=np.float32) * (high - low) + low
        images = np.repeat(noise[None].astype(graph.input.dtype), graph.input.batch, axis=0)
        where = f"{width} x {height} pixels of {layout.channels} channels"
        try:
            made = graph.run(images)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no other base class
            self.problem = f"it cannot run on {where}, the last of the sizes tried: {first_line(error)}"
            return None
        self._runs = True
        if made.ndim != 4:
            raise RunError(not_a_picture(graph.path, made.shape))
        for output_last in (False, True):
            channels, *sides = np.moveaxis(made, -1, 1).shape[1:] if output_last else made.shape[1:]
            scale = sides[0] // height
            if sides == [scale * height, scale * width] and scale >= 1 and 1 <= channels <= MAX_CHANNELS:
                self._check_values(made)
                self.reach = float(np.abs(made.astype(np.float64)).max())
                return Traits(
                    channels_last=layout.channels_last,
                    output_last=output_last,
                    input_channels=layout.channels,
                    output_channels=channels,
                    scale=scale,
                    size_multiple=multiple,
                    fixed_size=layout.sides,
                    value_range=(low, high),
                    output_range=self._range or _output_range(made, graph.input.dtype),
                )
        many = made.shape[1] > MAX_CHANNELS and list(made.shape[2:]) == [height, width]
        cause = (
            f"more than {MAX_CHANNELS} channels" if many else "sides that are not an integer multiple of the picture's"
        )
        self.problem = (
            f"for {where} its output has the shape {made.shape}, with {cause}; the output must be a picture of the "
            "same size or an integer multiple"
        )
        return None

    def _check_values(self, made: NDArray[Any]) -> None:
        if made.dtype.kind == "f" and not np.isfinite(made).all():
            raise RunError(
                f"{self._graph.path} returns NaN or infinite values for noise; its weights are damaged, or too large "
                "for its precision: export it in float32"
            )


def _odd_multiples(multiple: int) -> tuple[int, int]:
    """Return two sizes whose greatest common divisor is `multiple`."""
    factor = -(-SMALLEST_SIDE // multiple)
    factor += 1 - factor % 2
    return factor * multiple, (factor + 2) * multiple


def _output_range(made: NDArray[Any], given: np.dtype[Any]) -> tuple[float, float]:
    """Return the output's range: float outputs of a graph with level inputs may be levels too."""
    if made.dtype.kind == "f" and given.kind != "f" and float(made.max()) > LEVELS:
        return value_range_of(given)
    return value_range_of(made.dtype)
