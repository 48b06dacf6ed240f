"""Inverse transform sampling from any density in one dimension: uniform numbers through the inverse of its CDF.

python examples/inverse_cdf.py
"""

import numpy as np

from ganvas.toy.densities import GRID_STEP, grid_points, piecewise_density


def main(count: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Print density and histogram side by side, a line for each half unit, and return both."""
    x = grid_points()
    cdf = np.cumsum(piecewise_density(x)) * GRID_STEP
    cdf /= cdf[-1]  # the sum over the grid differs slightly from 1
    samples = np.interp(np.random.default_rng(0).uniform(size=count), cdf, x)

    edges = np.linspace(-3, 3, 13)
    found = np.histogram(samples, edges, density=True)[0]
    wanted = np.array([piecewise_density(left + np.linspace(0, 0.5, 100)).mean() for left in edges[:-1]])
    for left, one, other in zip(edges[:-1], wanted, found, strict=True):
        print(f"{left:5.1f}  {'#' * round(100 * one):<30}{'*' * round(100 * other)}")
    return wanted, found


if __name__ == "__main__":
    main()
