"""Distances between two sets of pictures by classifier features, and mode coverage of known mixtures.

Distances are called FID and KID only for features of the Inception network that defines these names. All sums are in
double precision. Mode coverage follows Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761) and Lin et al. 2018 (PacGAN,
arXiv:1712.04086): 2,500 samples; a sample within three standard deviations of its nearest mode is of high quality; a
mode is covered when it is the nearest of at least one of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import InputError

Matrix = NDArray[np.float64]
SUBSET_SIZE, NUM_SUBSETS = 1000, 100
"""Subset size of the kernel distance, as in Binkowski et al. 2018, Sec. 4."""
BLOCK = 1024
PROTOCOL_SAMPLES = 2500
WITHIN_DEVIATIONS = 3.0
"""Largest distance of a high-quality sample from its mode, in standard deviations; a sample of an isotropic Gaussian in
the plane is closer with probability 1 - exp(-9/2) = .989."""
HELD_SHARE = 0.25
"""Share of its expected samples that a mode needs to count as held. Not from the papers."""


@dataclass(frozen=True, kw_only=True)
class FeatureSpace:
    """Description of features, recorded with every distance between them."""

    name: str
    """Network, layer and pooling."""
    dimension: int
    protocol: str
    """Preprocessing of a picture."""
    is_inception_fid: bool = False
    """Whether the features use the verified weights that define FID and KID."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Distance between two sets of pictures, with its features."""

    measure: str
    """`FID` and `KID` for Inception features only; else `Frechet distance`, `kernel distance`."""
    value: float
    deviation: float | None
    """Standard deviation of the kernel distance over its subsets."""
    features: FeatureSpace
    counts: tuple[int, int]
    """Number of pictures in each set."""

    def as_record(self) -> dict[str, Any]:
        """Return the distance as a JSON-serializable dictionary."""
        return {
            "measure": self.measure,
            "value": self.value,
            "deviation": self.deviation,
            "features": self.features.name,
            "protocol": self.features.protocol,
            "counts": list(self.counts),
        }


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Mean and covariance of the features of a set of pictures."""

    features: FeatureSpace
    count: int
    mean: Matrix
    """(D,)."""
    covariance: Matrix
    """(D, D), divided by count - 1."""


class Moments:
    """Running mean and covariance of feature vectors, in the memory of one covariance matrix.

    Batches are merged by Chan, Golub & LeVeque 1979: exact to rounding, whatever their sizes and magnitude.

    Args:
        features: description of the vectors.
    """

    def __init__(self, features: FeatureSpace) -> None:
        self.features, self.count = features, 0
        self._mean = np.zeros(features.dimension)
        self._scatter = np.zeros((features.dimension, features.dimension))

    def add(self, vectors: NDArray[np.floating[Any]]) -> None:
        """Add vectors, (N, D).

        Raises:
            InputError: the dimension differs, or a value is not finite.
        """
        batch = _checked(vectors, self.features.dimension)
        if len(batch) == 0:
            return
        total = self.count + len(batch)
        mean = batch.mean(axis=0)
        step, centered = mean - self._mean, batch - mean
        self._scatter += centered.T @ centered + np.outer(step, step) * (self.count * len(batch) / total)
        self._mean = self._mean + step * (len(batch) / total)
        self.count = total

    def statistics(self) -> FeatureStatistics:
        """Return the statistics of all vectors added so far.

        Raises:
            InputError: there are fewer than two vectors.
        """
        if self.count < 2:
            raise InputError(f"a covariance needs at least two pictures, got {self.count}")
        covariance = self._scatter / (self.count - 1)
        return FeatureStatistics(
            features=self.features, count=self.count, mean=self._mean.copy(), covariance=covariance
        )


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> Distance:
    """Compute the squared Frechet distance of two Gaussians (Heusel et al. 2017, arXiv:1706.08500, Eq. 6).

    The trace of the square root of C1 C2 is the sum of the singular values of R1' R2, where C = R R'. This needs no
    root of a nonsymmetric matrix and no complex numbers, and is exact for rank-deficient covariances.

    Raises:
        InputError: the statistics are of different features.
    """
    _require_alike(first.features, second.features)
    step = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    roots = np.linalg.svd(_root(first.covariance).T @ _root(second.covariance), compute_uv=False).sum()
    return Distance(
        measure="FID" if first.features.is_inception_fid else "Frechet distance",
        value=max(float(step @ step + traces - 2 * roots), 0.0),
        deviation=None,
        features=first.features,
        counts=(first.count, second.count),
    )


def kernel_distance(
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    features: FeatureSpace,
    *,
    subset_size: int = SUBSET_SIZE,
    num_subsets: int = NUM_SUBSETS,
    seed: int = 0,
) -> Distance:
    """Compute the unbiased squared maximum mean discrepancy (Binkowski et al. 2018, arXiv:1801.01401).

    The unbiased estimate may be slightly negative. The subsets are at most as large as the smaller set.

    Args:
        first: (N, D).
        second: (M, D).
        features: description of the vectors.
        subset_size: drawn without replacement from either set.
        num_subsets: number of subsets.
        seed: seed of the subsets.

    Raises:
        InputError: the dimensions differ, there are fewer than two vectors, or a value is not finite.
    """
    x, y = _checked(first, features.dimension), _checked(second, features.dimension)
    size = min(subset_size, len(x), len(y))
    generator = np.random.default_rng(seed)
    values = [
        squared_discrepancy(_drawn(x, size, generator), _drawn(y, size, generator)) for _ in range(max(num_subsets, 1))
    ]
    return Distance(
        measure="KID" if features.is_inception_fid else "kernel distance",
        value=float(np.mean(values)),
        deviation=float(np.std(values)),
        features=features,
        counts=(len(x), len(y)),
    )


def squared_discrepancy(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> float:
    """Estimate MMD^2 without bias under the kernel (x . y / D + 1)^3. x: (N, D); y: (M, D).

    Raises:
        InputError: fewer than two vectors in either.
    """
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise InputError(f"the kernel distance needs at least two pictures in each set, got {n} and {m}")
    within = _kernel_sum(x, x, diagonal=False) / (n * (n - 1)) + _kernel_sum(y, y, diagonal=False) / (m * (m - 1))
    return within - 2 * _kernel_sum(x, y, diagonal=True) / (n * m)


def _kernel_sum(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], *, diagonal: bool) -> float:
    """Sum the kernel over all pairs, in blocks of rows; without the diagonal, x and y must be the same."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        kernel = (x[start : start + BLOCK].astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1) ** 3
        total += float(kernel.sum())
        if not diagonal:
            total -= float(np.trace(kernel, offset=start))
    return total


def _drawn(vectors: Matrix, size: int, generator: np.random.Generator) -> Matrix:
    return vectors[generator.choice(len(vectors), size, replace=False)]


def _root(covariance: Matrix) -> Matrix:
    """Return R (D, rank) with R R' = covariance, without directions within rounding error."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    root: Matrix = vectors[:, kept] * np.sqrt(values[kept])
    return root


def _checked(vectors: NDArray[np.floating[Any]], dimension: int) -> Matrix:
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise InputError(f"expected features (N, {dimension}), got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise InputError("some features are NaN or infinite; check the pictures")
    return vectors.astype(np.float64, copy=False)


def _require_alike(first: FeatureSpace, second: FeatureSpace) -> None:
    if first != second:
        raise InputError(f"different features cannot be compared: {first.name}; {second.name}")


@dataclass(frozen=True)
class Coverage:
    """Mode coverage of a set of samples.

    Attributes:
        modes: number of modes.
        covered: modes with at least one sample of high quality.
        held: modes with at least a quarter of their expected number of samples of high quality.
        high_quality: share of all samples, in [0, 1].
    """

    modes: int
    covered: int
    held: int
    high_quality: float


def measure_coverage(samples: NDArray[np.floating], means: NDArray[np.floating], *, deviation: float) -> Coverage:
    """Count the covered modes and compute the share of high-quality samples.

    Args:
        samples: (N, D) from a model; a row that is not finite has low quality.
        means: (K, D) of the mixture, all modes equally likely.
        deviation: deviation of each mode along each axis.
    """
    distances = np.linalg.norm(samples[:, None] - means, axis=-1)
    distances = np.where(np.isfinite(distances), distances, np.inf)
    good = distances.min(axis=1) <= WITHIN_DEVIATIONS * deviation
    counts = np.bincount(distances.argmin(axis=1)[good], minlength=len(means))
    return Coverage(
        modes=len(means),
        covered=int((counts > 0).sum()),
        held=int((counts >= max(HELD_SHARE * len(samples) / len(means), 1)).sum()),
        high_quality=float(good.mean()),
    )
