"""Receptive-field arithmetic: which input pixels can influence an output pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Interval = tuple[int, int]
"""First and last pixel along one axis, both included."""


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Return the pixels along one axis that one output value sees.

    Args:
        layers: (kernel, stride) of each convolution, from the input to the output.
    """
    pixels = 1
    for kernel, stride in reversed(layers):
        pixels = (pixels - 1) * stride + kernel
    return pixels


def before_convolution(needed: Interval, *, kernel: int, stride: int, padding: int) -> Interval:
    """Return the inputs of a convolution that the outputs `needed` depend on."""
    first, last = needed
    return first * stride - padding, last * stride - padding + kernel - 1


def before_transposed(needed: Interval, *, kernel: int, stride: int, padding: int) -> Interval:
    """Return the inputs of a transposed convolution that the outputs `needed` depend on."""
    first, last = needed
    # input i reaches outputs stride * i - padding + (0 .. kernel - 1)
    return -((kernel - 1 - padding - first) // stride), (last + padding) // stride


def before_nearest(needed: Interval, *, factor: int) -> Interval:
    """Return the inputs of a nearest-neighbor upsampling that the outputs `needed` depend on."""
    first, last = needed
    return first // factor, last // factor


def context(needed_inputs: Callable[[Interval], Interval], *, period: int) -> int:
    """Return the largest distance from an output pixel to an input pixel that can reach it.

    Args:
        needed_inputs: output interval -> input interval of a network as large out as in.
        period: its behaviour repeats after so many pixels (the product of its strides).
    """
    spans = ((pixel, needed_inputs((pixel, pixel))) for pixel in range(period))
    return max(max(pixel - first, last - pixel) for pixel, (first, last) in spans)
