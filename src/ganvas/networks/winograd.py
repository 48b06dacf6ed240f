"""Winograd convolution of wide layers of stride 1, with a quarter of the multiplications.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308. A tile of m x m outputs is

    Y = A^T [(G g G^T) * (B^T d B)] A

for a kernel g of r x r and a tile d of t x t inputs, t = m + r - 1, where * multiplies element by element. Over all
channels and tiles, each of the t x t elements is one matrix product. With t = 6, a 3x3 kernel computes 4x4 outputs, and
a 4x4 kernel 3x3 outputs, with 36 multiplications instead of 144. The result equals that of the convolution up to
rounding (about 5e-6 of its largest value). benchmarks/winograd.py compares it with PyTorch's convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from threading import local
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

__all__ = ["Winograd", "convolve_winograd", "suits_winograd", "winograd"]

POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
"""Evaluation points of the polynomials, besides infinity; their powers are small, which limits rounding errors."""
TILE = len(POINTS) + 1
KERNELS = (3, 4)
WIDE = 128
"""Smallest number of input and output channels for which Winograd is faster."""
FEW_TILES = 64
"""Smallest number of tiles in a batch for which Winograd is faster."""
Strip = tuple[slice, slice]
"""Slices of the pictures of a batch, and of the rows of tiles."""
STRIP = 256
"""Number of tiles computed at once, so that intermediate results fit into the processor's cache."""


@dataclass(frozen=True)
class Winograd:
    """The three transforms for one kernel size, as matrices on flattened tiles.

    Attributes:
        m: the side of an output tile.
        outputs: A^T for both axes, (m^2, t^2).
        inputs: B^T for both axes, (t^2, t^2).
        kernels: G for both axes, (t^2, r^2).
    """

    m: int
    outputs: Tensor
    inputs: Tensor
    kernels: Tensor

    def weights(self, weight: Tensor, out: Tensor | None = None) -> Tensor:
        """Transform kernels: (C', C, r, r) -> (t^2, C', C)."""
        flat = weight.permute(2, 3, 0, 1).reshape(self.kernels.shape[1], -1)
        out = weight.new_empty(TILE * TILE, *weight.shape[:2]) if out is None else out
        torch.mm(self.kernels, flat, out=out.view(TILE * TILE, -1))
        return out

    def weights_gradient(self, gradient: Tensor) -> Tensor:
        """Return the transpose of `weights`: (t^2, C', C) -> (C', C, r, r)."""
        side = TILE - self.m + 1
        flat = self.kernels.t() @ gradient.flatten(1)
        return flat.view(side, side, *gradient.shape[1:]).permute(2, 3, 0, 1).contiguous()


@cache
def winograd(kernel: int, dtype: torch.dtype = torch.float32) -> Winograd:
    """Return the transforms of a kernel of 3x3 or 4x4.

    Toom-Cook: the product of two polynomials is determined by its values at `TILE` points, so evaluate both, multiply
    and interpolate. The transpose of this algorithm is the correlation of a tile with a kernel.
    """
    m = TILE - kernel + 1
    outputs, kernels, inputs = _powers(m).T, _powers(kernel), np.linalg.inv(_powers(TILE)).T
    # Powers of two moved from the kernels to the inputs, so that neither becomes large
    scale = np.exp2(np.round(np.log2(np.abs(kernels).max(axis=1, keepdims=True))))
    matrices = (outputs, inputs * scale, kernels / scale)
    with torch.inference_mode(mode=False):
        return Winograd(m, *(torch.from_numpy(np.kron(one, one)).to(dtype) for one in matrices))


def _powers(count: int) -> np.ndarray:
    """Return (TILE, count): powers of each point; for infinity, only the highest coefficient is 1."""
    finite = np.array(POINTS)[:, None] ** np.arange(count)
    return np.vstack([finite, np.eye(1, count, count - 1)])


class _Workspace(local):
    """Workspace of each thread, kept between calls, so that the heap does not fragment."""

    def __init__(self) -> None:
        self._buffers = dict[tuple[str, torch.dtype], Tensor]()

    def __call__(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return an uninitialized tensor, which the next call with the same name overwrites."""
        size, key = prod(shape), (name, like.dtype)
        if key not in self._buffers or self._buffers[key].numel() < size:
            with torch.inference_mode(mode=False):  # usable with and without gradients later
                self._buffers[key] = torch.empty(size, dtype=like.dtype)
        return self._buffers[key][:size].view(shape)


workspace = _Workspace()


def suits_winograd(features: Tensor, weight: Tensor, stride: tuple[int, ...] = (1, 1)) -> bool:
    """Return whether Winograd is faster: wide layers in float32 on a CPU, many positions, no dilation or groups."""
    is_plain = type(features) is Tensor and features.device.type == "cpu"  # no subclass that counts operations
    if not is_plain or features.dtype != torch.float32 or min(weight.shape[:2]) < WIDE:
        return False
    if set(stride) != {1} or weight.shape[2] != weight.shape[3] or weight.shape[2] not in KERNELS:
        return False
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return False
    positions = len(features) * features.shape[2] * features.shape[3]
    return positions >= FEW_TILES * (TILE - weight.shape[2] + 1) ** 2


def convolve_winograd(features: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0) -> Tensor:
    """Convolve zero-padded features at stride 1, differentiably: (N, C, H, W) -> (N, C', H', W')."""
    outputs: Tensor = _Convolution.apply(features, weight, bias, padding)  # type: ignore[no-untyped-call]
    return outputs


class _Convolution(Function):
    """Forward and backward in the transformed domain; a gradient of the gradient goes through PyTorch's operators."""

    @staticmethod
    def forward(features: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        transforms = winograd(weight.shape[2], weight.dtype)
        room = workspace("weights", weight, TILE * TILE, *weight.shape[:2])
        return apply_winograd(features, transforms, transforms.weights(weight, room), bias, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, int], output: Tensor) -> None:  # noqa: ARG004
        features, weight, bias, ctx.padding = inputs
        ctx.has_bias = bias is not None
        ctx.save_for_backward(features, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.has_bias and ctx.needs_input_grad[2])
        if torch.is_grad_enabled():
            geometry = ([1, 1], [ctx.padding] * 2, [1, 1], False, [0, 0], 1)
            return *torch.ops.aten.convolution_backward(
                gradient, features, weight, [len(weight)], *geometry, wanted
            ), None  # fmt: skip
        of_features, of_weight = _gradients(gradient, features, weight, ctx.padding, wanted)
        return of_features, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None, None


def apply_winograd(
    features: Tensor, transforms: Winograd, weights: Tensor, bias: Tensor | None, padding: int = 0
) -> Tensor:
    """Return the convolution by transformed kernels, without a gradient.

    Args:
        features: (N, C, H, W), contiguous or channels-last, as is the result.
        transforms: transforms of the kernels' size.
        weights: (t^2, C', C), from `Winograd.weights`.
        bias: (C').
        padding: zeros around the features.
    """
    grid = _Grid.of(features, transforms, padding)
    padded = grid.padded_inputs(features)
    outputs = grid.empty_outputs(features, weights.shape[1])
    for strip in grid.strips():
        # Transform the tiles, multiply over the channels, transform back
        products = _products(weights, grid.transformed_inputs(padded, strip), grid.is_last)
        if bias is not None:  # this element contributes to every output of a tile with factor 1
            products[TILE + 1] += bias if grid.is_last else bias[:, None]
        tiles = grid.output_tiles(outputs, strip)
        flat = workspace("tiles", tiles, len(transforms.outputs), products[0].numel())
        tiles.copy_(torch.mm(transforms.outputs, products.flatten(1), out=flat).view(tiles.shape))
    return grid.cut_outputs(outputs)


def _gradients(
    gradient: Tensor, features: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of features and weights: each step of `apply_winograd` transposed, in reverse order."""
    transforms = winograd(weight.shape[2], weight.dtype)
    grid = _Grid.of(features, transforms, padding)
    padded, filled = grid.padded_inputs(features), grid.padded_outputs(gradient)
    of_padded = torch.zeros_like(padded) if wanted[0] else None
    shape = (TILE * TILE, *weight.shape[:2])
    of_weights = workspace("weights' gradient", weight, *shape).zero_() if wanted[1] else None
    back = transforms.weights(weight, workspace("weights", weight, *shape)).transpose(1, 2) if wanted[0] else None
    for strip in grid.strips():
        tiles = grid.output_tiles(filled, strip)
        flat = _flat(tiles, len(transforms.outputs))
        of_products = workspace("products' gradient", flat, TILE * TILE, *_matrix_shape(tiles, grid.is_last))
        torch.mm(transforms.outputs.t(), flat, out=of_products.flatten(1))  # A dY A^T
        if back is not None and of_padded is not None:  # then B of each tile; overlapping tiles are summed
            grid.add_to_inputs(of_padded, strip, _products(back, of_products, grid.is_last))
        if of_weights is not None:  # summed over all tiles; G^T follows once, at the end
            transformed = grid.transformed_inputs(padded, strip)
            if grid.is_last:
                of_weights.baddbmm_(of_products.transpose(1, 2), transformed)
            else:
                of_weights.baddbmm_(of_products, transformed.transpose(1, 2))
    return (
        None if of_padded is None else grid.cut_inputs(of_padded),
        None if of_weights is None else transforms.weights_gradient(of_weights),
    )


def _products(weights: Tensor, transformed: Tensor, is_last: bool) -> Tensor:
    """Multiply over the channels: (t^2, C, tiles) -> (t^2, C', tiles), or (t^2, tiles, C) -> (t^2, tiles, C')."""
    left, right = (transformed, weights.transpose(1, 2)) if is_last else (weights, transformed)
    return torch.bmm(left, right, out=workspace("products", left, TILE * TILE, left.shape[1], right.shape[2]))


def _flat(tiles: Tensor, elements: int) -> Tensor:
    """Copy a view of tiles to (elements of a tile, all other dimensions)."""
    copied = workspace("tiles", tiles, *tiles.shape).copy_(tiles)
    return copied.view(elements, -1)


def _matrix_shape(tiles: Tensor, is_last: bool) -> tuple[int, int]:
    """Return (C, tiles), or with channels last (tiles, C), for a view of tiles."""
    return (prod(tiles.shape[2:5]), tiles.shape[5]) if is_last else (tiles.shape[2], prod(tiles.shape[3:]))


@dataclass(frozen=True)
class _Grid:
    """Layout of the tiles of a batch in the inputs and in the outputs.

    Attributes:
        transforms: transforms of the kernel.
        padding: zeros around the inputs.
        is_last: whether channels are last in memory.
        count: number of pictures.
        size: height and width of the inputs.
        rows, columns: numbers of tiles.
    """

    transforms: Winograd
    padding: int
    is_last: bool
    count: int
    size: tuple[int, int]
    rows: int
    columns: int

    @classmethod
    def of(cls, features: Tensor, transforms: Winograd, padding: int) -> _Grid:
        height, width = features.shape[2:]
        m, kernel = transforms.m, TILE - transforms.m + 1
        rows, columns = (-(-(side + 2 * padding - kernel + 1) // m) for side in (height, width))
        is_last = not features.is_contiguous() and features.is_contiguous(memory_format=torch.channels_last)
        return cls(transforms, padding, is_last, len(features), (height, width), rows, columns)

    @property
    def layout(self) -> torch.memory_format:
        """Memory format of all features."""
        return torch.channels_last if self.is_last else torch.contiguous_format

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the result; the last tiles may extend beyond it."""
        grown = 2 * self.padding - (TILE - self.transforms.m)
        return self.size[0] + grown, self.size[1] + grown

    def strips(self) -> Iterator[Strip]:
        """Yield parts of about `STRIP` tiles: several small pictures, or some rows of one."""
        pictures = max(1, STRIP // (self.rows * self.columns))
        rows = self.rows if pictures > 1 else max(1, STRIP // self.columns)
        for picture in range(0, self.count, pictures):
            for row in range(0, self.rows, rows):
                yield slice(picture, min(picture + pictures, self.count)), slice(row, min(row + rows, self.rows))

    def padded_inputs(self, features: Tensor) -> Tensor:
        """Pad with zeros on all sides, and below and to the right as far as the last tiles need."""
        overlap = TILE - self.transforms.m
        sides = [tiles * self.transforms.m + overlap for tiles in (self.rows, self.columns)]
        below, right = (side - had - self.padding for side, had in zip(sides, self.size, strict=True))
        if (self.padding, below, right) == (0, 0, 0):
            return features.contiguous(memory_format=self.layout)
        return functional.pad(features, (self.padding, right, self.padding, below)).contiguous(
            memory_format=self.layout
        )

    def cut_inputs(self, padded: Tensor) -> Tensor:
        """Remove the padding of `padded_inputs`."""
        (height, width), at = self.size, self.padding
        return padded[:, :, at : at + height, at : at + width].contiguous(memory_format=self.layout)

    def empty_outputs(self, features: Tensor, channels: int) -> Tensor:
        """Allocate an output of whole tiles."""
        shape = (self.count, channels, self.rows * self.transforms.m, self.columns * self.transforms.m)
        return torch.empty(shape, dtype=features.dtype, memory_format=self.layout)

    def cut_outputs(self, outputs: Tensor) -> Tensor:
        """Crop the output of whole tiles to the size of the result; no view, which may not be changed in place."""
        height, width = self.output_size
        is_whole = outputs.shape[-2:] == (height, width)
        return outputs if is_whole else outputs[:, :, :height, :width].contiguous(memory_format=self.layout)

    def padded_outputs(self, gradient: Tensor) -> Tensor:
        """Fill the last tiles with zeros."""
        m, (height, width) = self.transforms.m, self.output_size
        padded = functional.pad(gradient, (0, self.columns * m - width, 0, self.rows * m - height))
        return padded.contiguous(memory_format=self.layout)

    def output_tiles(self, outputs: Tensor, strip: Strip) -> Tensor:
        """Return a view of outputs: (m, m, C, N, rows, columns), or (m, m, N, rows, columns, C)."""
        return self._tiles(outputs, strip, self.transforms.m)

    def transformed_inputs(self, padded: Tensor, strip: Strip) -> Tensor:
        """Transform the input tiles of a strip: (t^2, C, tiles), or (t^2, tiles, C) in channels-last."""
        tiles = self._tiles(padded, strip, TILE)
        transformed = workspace("transformed", tiles, TILE * TILE, *_matrix_shape(tiles, self.is_last))
        torch.mm(self.transforms.inputs, _flat(tiles, TILE * TILE), out=transformed.flatten(1))
        return transformed

    def add_to_inputs(self, of_padded: Tensor, strip: Strip, gradient: Tensor) -> None:
        """Add the transpose of `transformed_inputs`, in parts of a tile that do not overlap those of other tiles."""
        tiles = self._tiles(of_padded, strip, TILE)
        flat = workspace("tiles", tiles, TILE * TILE, gradient[0].numel())
        found = torch.mm(self.transforms.inputs.t(), gradient.flatten(1), out=flat).view(tiles.shape)
        parts = (slice(0, self.transforms.m), slice(self.transforms.m, TILE))
        for down in parts:
            for along in parts:
                tiles[down, along] += found[down, along]

    def _tiles(self, features: Tensor, strip: Strip, side: int) -> Tensor:
        """Return a view of tiles of `side` pixels with a stride of m pixels."""
        pictures, rows = strip
        m = self.transforms.m
        of_picture, of_channel, of_row, of_column = features.stride()
        offset = pictures.start * of_picture + rows.start * m * of_row
        tile = ((side, of_row), (side, of_column))
        channel = (features.shape[1], of_channel)
        place = (
            (pictures.stop - pictures.start, of_picture),
            (rows.stop - rows.start, m * of_row),
            (self.columns, m * of_column),
        )
        axes = (*tile, *place, channel) if self.is_last else (*tile, channel, *place)
        return features.as_strided([length for length, _ in axes], [step for _, step in axes], offset)
