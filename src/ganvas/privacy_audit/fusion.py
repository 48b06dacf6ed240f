"""Multi-frame super-resolution from the block means of a mosaic: registration by translation, and least squares.

Irani & Peleg 1991, "Improving resolution by image registration": solves for the picture whose block means, at the
position of the subject in each frame, equal the observed ones. Blocks are axis-aligned and the motion is a translation,
so that the model of frame k is R_k X C_k^T with small matrices for rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ganvas.image.picture import Box

__all__ = ["BlockGrid", "Floats", "Observation", "Shift", "displacement", "fuse", "observe", "register", "search"]

Floats = NDArray[np.float64]
Shift = tuple[float, float]
"""(down, across) displacement in pixels of the subject from the reference frame to another frame."""
STEPS = (4.0, 2.0, 1.0, 0.5, 0.25, 0.125)
"""Step sizes of the search for a shift, in pixels."""
ROUNDING = 0.25
"""Variance of an otherwise exact block mean by rounding and interpolation, in squared levels."""
ITERATIONS = 40
"""Number of iterations of conjugate gradients."""
ROUNDS = 6
"""Number of rounds in which the noise of each frame is estimated."""
TURNS = 2
"""Number of alternations of registration and fusion."""
NUM_POINTS = 4000
"""Largest number of pixels on which a displacement is measured."""
LEAST_VISIBLE = 0.5
"""Smallest share of the points or blocks that must remain visible under a shift."""


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of a mosaic over a region of whole blocks.

    Attributes:
        region: region in pixels of the frame; may be partly outside.
        side: side of a block in pixels.
    """

    region: Box
    side: int


@dataclass(frozen=True, eq=False)
class Observation:
    """Block means of one frame.

    Attributes:
        rows: first and last edge of each row of blocks, (N, 2), clipped to the frame.
        columns: first and last edge of each column of blocks, (M, 2), clipped to the frame.
        means: (rows, columns, C).
    """

    rows: Floats
    columns: Floats
    means: Floats


@dataclass(frozen=True, eq=False)
class _Model:
    """Linear model of K frames: picture (H, C, W) -> means (K, N, C, M), with zero weights for invisible blocks.

    Attributes:
        rows: (K, N, H).
        columns: (K, M, W).
        seen: 1.0 for a block completely inside the picture, else 0.0, (K, N, 1, M).
    """

    rows: Floats
    columns: Floats
    seen: Floats

    def means(self, picture: Floats) -> Floats:
        """Return the block means of a picture in each frame."""
        count, num_rows, height = self.rows.shape
        _, channels, width = picture.shape
        lines = self.rows.reshape(-1, height) @ picture.reshape(height, -1)
        found = lines.reshape(count, -1, width) @ self.columns.transpose(0, 2, 1)
        return np.asarray(found.reshape(count, num_rows, channels, -1) * self.seen)

    def adjoint(self, means: Floats) -> Floats:
        """Return the transposed model of means, (H, C, W)."""
        count, num_rows, channels, num_columns = means.shape
        lines = (means * self.seen).reshape(count, -1, num_columns) @ self.columns
        height, width = self.rows.shape[2], self.columns.shape[2]
        picture = self.rows.reshape(-1, height).T @ lines.reshape(count * num_rows, -1)
        return np.asarray(picture.reshape(height, channels, width))


def observe(frame: NDArray[np.uint8], grid: BlockGrid) -> Observation:
    """Return the block means of a covered frame (H, W, C), without blocks outside the frame."""
    height, width = frame.shape[:2]
    rows = _edges(grid.region.top, grid.region.bottom, grid.side, height)
    columns = _edges(grid.region.left, grid.region.right, grid.side, width)
    means = frame[np.ix_(rows[:, 0].astype(int), columns[:, 0].astype(int))]
    return Observation(rows, columns, means.astype(np.float64))


def _edges(first: int, last: int, side: int, length: int) -> Floats:
    starts = np.arange(first, last, side)
    edges = np.clip(np.stack([starts, starts + side], axis=1), 0, length)
    return edges[edges[:, 0] < edges[:, 1]].astype(np.float64)


def search(cost: Callable[[Shift], float], starts: Iterable[Shift]) -> Shift:
    """Return the shift of least cost by local search from the best start.

    The step decreases from 4 pixels to an eighth of a pixel.
    """
    best = min(((cost(start), start) for start in dict.fromkeys(starts)), key=lambda found: found[0])
    for step in STEPS:
        while True:
            _, (y, x) = best
            around = [(y + i * step, x + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
            found = min(((cost(shift), shift) for shift in around), key=lambda found: found[0])
            if found[0] >= best[0]:
                break
            best = found
    return best[1]


def displacement(
    reference: Floats, frame: Floats, points: NDArray[np.bool_], starts: Iterable[Shift], hidden: Box | None = None
) -> Shift:
    """Return the shift of a part of a picture by the mean absolute difference.

    Args:
        reference: (H, W).
        frame: (H, W).
        points: (H, W) bool, the part of the reference.
        starts: starting points of the search.
        hidden: covered part of the frame, which is ignored.
    """
    rows, columns = np.nonzero(points)
    every = max(1, len(rows) // NUM_POINTS)
    at = np.stack([rows, columns])[:, ::every]
    levels = reference[at[0], at[1]]
    height, width = frame.shape

    def cost(shift: Shift) -> float:
        y, x = at[0] + shift[0], at[1] + shift[1]
        seen = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
        if hidden is not None:
            inside = (y > hidden.top - 1) & (y < hidden.bottom) & (x > hidden.left - 1) & (x < hidden.right)
            seen &= ~inside
        if seen.sum() < LEAST_VISIBLE * len(y):
            return float("inf")
        found = ndimage.map_coordinates(frame, (y[seen], x[seen]), order=1)
        return float(np.abs(found - levels[seen]).mean())

    return search(cost, starts)


def fuse(observed: Sequence[Observation], shifts: Sequence[Shift], support: Box, reference: int) -> Floats:
    """Return the picture (H, W, C) over `support` whose block means are closest to the observed ones.

    The result is a maximum a posteriori estimate. Each frame is weighted by the variance with which the other frames
    predict its means, so that frames in which the subject turned, or whose registration failed, do no harm.

    Args:
        observed: block means of each frame.
        shifts: shifts of each frame.
        support: support in pixels of the reference frame, about a block larger than the region.
        reference: index of the frame to reconstruct.
    """
    system, count = _System(observed, shifts, support, reference), len(observed)
    own, half = np.arange(count) == reference, np.arange(count) % 2 == 0
    noise = np.full(count, ROUNDING)  # start with equal noise; the rounds increase it for frames that do not fit
    for _ in range(ROUNDS if count > 2 else 0):
        without = [system.residuals(system.solve(np.where(part | own, 1 / noise, 0))) for part in (~half, half)]
        noise = np.where(own, ROUNDING, np.where(half, *without))
    return system.solve(1 / noise).transpose(0, 2, 1)


def register(
    observed: Sequence[Observation], reference: int, guesses: Sequence[Sequence[Shift]], support: Box
) -> list[Shift]:
    """Estimate the shift of each frame from the covered region alone, by alternating fusion and registration.

    Args:
        observed: block means of each frame.
        reference: the frame whose shift is (0, 0).
        guesses: for each frame, a starting point besides the shift of the previous frame.
        support: see `fuse`.
    """
    gray = [Observation(one.rows, one.columns, one.means.mean(2, keepdims=True)) for one in observed]
    shifts: list[Shift] = [(0.0, 0.0)] * len(gray)
    onward, backward = range(reference + 1, len(gray)), range(reference - 1, -1, -1)
    order = [(index, index - 1) for index in onward] + [(index, index + 1) for index in backward]
    known = [reference]
    picture = fuse([gray[reference]], [(0.0, 0.0)], support, 0)
    for turn in range(TURNS):
        for index, before in order:
            starts = [*guesses[index], shifts[before], *([shifts[index]] if turn else [])]
            shifts[index] = search(_mosaic_cost(picture, gray[index], support), starts)
            if turn == 0:
                known.append(index)
                system = _System([gray[i] for i in known], [shifts[i] for i in known], support, 0)
                picture = system.solve(np.full(len(known), 1 / ROUNDING)).transpose(0, 2, 1)
    return shifts


def _mosaic_cost(picture: Floats, observed: Observation, support: Box) -> Callable[[Shift], float]:
    """Return the mean squared difference of block means as a function of the shift."""
    plane, means = picture[:, :, 0], observed.means[:, :, 0]

    def cost(shift: Shift) -> float:
        rows = _averages(observed.rows, shift[0], support.top, plane.shape[0])
        columns = _averages(observed.columns, shift[1], support.left, plane.shape[1])
        seen = np.asarray(rows.any(1))[:, None] & np.asarray(columns.any(1))
        if seen.sum() < LEAST_VISIBLE * seen.size:
            return float("inf")
        differences = np.asarray(rows @ plane @ columns.T - means)
        return float(np.mean(differences[seen] ** 2))

    return cost


def _averages(edges: Floats, shift: float, first: int, length: int) -> Floats:
    """Return the weights (N, length) of a line's pixels in the mean of each block; zeros for incomplete blocks.

    Sums of linearly interpolated pixels are overlaps of the shifted block with each pixel.
    """
    start, stop = edges[:, :1] - shift - first, edges[:, 1:] - shift - first
    pixels = np.arange(length)
    overlap = np.clip(np.minimum(stop, pixels + 1) - np.maximum(start, pixels), 0, None)
    return np.asarray(np.where((start >= 0) & (stop <= length), overlap / (stop - start), 0))


def _model(observed: Sequence[Observation], shifts: Sequence[Shift], support: Box) -> tuple[_Model, Floats]:
    """Return the model of all frames and their means (K, N, C, M), padded with zeros."""
    height, width = support.bottom - support.top, support.right - support.left
    count, channels = len(observed), observed[0].means.shape[2]
    num_rows, num_columns = max(len(one.rows) for one in observed), max(len(one.columns) for one in observed)
    rows, columns = np.zeros((count, num_rows, height)), np.zeros((count, num_columns, width))
    means = np.zeros((count, num_rows, channels, num_columns))
    for index, (one, shift) in enumerate(zip(observed, shifts, strict=True)):
        rows[index, : len(one.rows)] = _averages(one.rows, shift[0], support.top, height)
        columns[index, : len(one.columns)] = _averages(one.columns, shift[1], support.left, width)
        means[index, : len(one.rows), :, : len(one.columns)] = one.means.transpose(0, 2, 1)
    seen = np.asarray(rows.any(2))[:, :, None, None] & np.asarray(columns.any(2))[:, None, None]
    return _Model(rows, columns, seen.astype(np.float64)), means


class _System:
    """Least squares over all frames: squared differences of block means, and of neighbors in the picture.

    The prior of neighboring pixels is a random walk with the variance of the block means of the reference frame.
    """

    def __init__(self, observed: Sequence[Observation], shifts: Sequence[Shift], support: Box, reference: int) -> None:
        self._model, means = _model(observed, shifts, support)
        self._means = means * self._model.seen
        own = observed[reference].means
        steps = [np.diff(own, axis=axis) ** 2 for axis in (0, 1) if own.shape[axis] > 1]
        side = float(np.ptp(observed[reference].rows, axis=1).max())
        self._smoothness = side / max(float(np.mean([step.mean() for step in steps])) if steps else 0, 1)
        height, width = support.bottom - support.top, support.right - support.left
        self._start = np.broadcast_to(own.mean((0, 1))[:, None], (height, means.shape[2], width))

    def residuals(self, picture: Floats) -> Floats:
        """Return the mean squared difference of block means in each frame, (K,), at least the rounding variance."""
        squares = ((self._model.means(picture) - self._means) ** 2).sum((1, 2, 3))
        counts = self._means.shape[2] * self._model.seen.sum((1, 2, 3))
        return np.asarray(np.maximum(squares / np.maximum(counts, 1), ROUNDING))

    def solve(self, weights: Floats) -> Floats:
        """Return the picture (H, C, W) by conjugate gradients, with a weight for each frame, (K,)."""
        each = weights[:, None, None, None]

        def apply(picture: Floats) -> Floats:
            return self._model.adjoint(each * self._model.means(picture)) + self._smoothness * _roughness(picture)

        picture = self._start.copy()
        wanted = self._model.adjoint(each * self._means)
        rest = wanted - apply(picture)
        direction, power = rest, float((rest**2).sum())
        least = 1e-10 * float((wanted**2).sum()) + 1e-12
        for _ in range(ITERATIONS):
            if power <= least:
                break
            image = apply(direction)
            step = power / float((direction * image).sum())
            picture, rest = picture + step * direction, rest - step * image
            before, power = power, float((rest**2).sum())
            direction = rest + power / before * direction
        return picture


def _roughness(picture: Floats) -> Floats:
    """Return D^T D X for the differences D of neighbors in both directions. picture: (H, C, W)."""
    result = np.zeros_like(picture)
    down, across = np.diff(picture, axis=0), np.diff(picture, axis=2)
    result[:-1] -= down
    result[1:] += down
    result[:, :, :-1] -= across
    result[:, :, 1:] += across
    return result
