"""Flicker of a film: warp error of consecutive frames along the optical flow, excluding occlusions.

Lai et al. 2018, "Learning Blind Video Temporal Consistency", arXiv:1808.00449, Sec. 4.2. Frames are (H, W, C) in [0,
1]; a flow is (2, H, W): displacement of each pixel in rows and columns from a frame to the next one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from ganvas.errors import MissingDependency

__all__ = ["optical_flow", "visible_pixels", "warp_error", "warped"]

Floats = NDArray[np.floating]
SIDE = 320
"""Longer side in pixels at which the flow is computed, which takes a quarter of the time of 640; motion is smooth."""
RELATIVE, ABSOLUTE = 0.01, 0.5
"""Bounds of the forward-backward difference (Sundaram et al. 2010, Eq. 5)."""


def optical_flow(before: Floats, after: Floats, *, side: int = SIDE) -> NDArray[np.float32]:
    """Compute the flow from one frame to the next with TV-L1 (Zach et al. 2007), from scikit-image.

    Args:
        before: (H, W, C) in [0, 1].
        after: the next frame, of the same shape.
        side: longer side in pixels to which the frames are reduced.

    Returns:
        (2, H, W), in pixels of the given frames.

    Raises:
        MissingDependency: scikit-image is not installed.
    """
    try:
        from skimage import registration  # optional dependency
    except ImportError as error:
        raise MissingDependency("scikit-image", "flow", "measuring flicker") from error
    height, width = before.shape[:2]
    factor = min(1.0, side / max(height, width))
    small = [zoom(frame.mean(axis=2), factor, order=1, grid_mode=True, mode="nearest") for frame in (before, after)]
    solve: Any = registration.optical_flow_tvl1
    flow: Floats = solve(*(frame.astype(np.float32) for frame in small))
    sizes = np.array([height, width]) / flow.shape[1:]
    planes = [
        zoom(plane, sizes, order=1, grid_mode=True, mode="nearest") * size
        for plane, size in zip(flow, sizes, strict=True)
    ]
    return np.stack(planes).astype(np.float32)


def warped(values: Floats, flow: Floats) -> Floats:
    """Sample (H, W, C) bilinearly at the positions of a flow; beyond the border, use the nearest pixel."""
    places = np.indices(flow.shape[1:], np.float32) + flow
    planes = [map_coordinates(values[:, :, c], places, order=1, mode="nearest") for c in range(values.shape[2])]
    return np.stack(planes, axis=2)


def visible_pixels(forward: Floats, backward: Floats) -> NDArray[np.bool_]:
    """Return the mask (H, W) of pixels of a frame that are visible in the next one, by forward-backward consistency.

    Args:
        forward: flow from the frame to the next.
        backward: flow from the next to the frame.
    """
    height, width = forward.shape[1:]
    returned = np.moveaxis(warped(np.moveaxis(backward, 0, 2), forward), 2, 0)
    difference = ((forward + returned) ** 2).sum(axis=0)
    bound = RELATIVE * ((forward**2).sum(axis=0) + (returned**2).sum(axis=0)) + ABSOLUTE
    rows, columns = np.indices((height, width)) + forward
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    seen: NDArray[np.bool_] = (difference < bound) & inside
    return seen


def warp_error(before: Floats, after: Floats, flow: Floats, visible: NDArray[np.bool_]) -> float | None:
    """Compute the mean squared difference of a frame and the next one, warped back, over the visible pixels (Eq. 11).

    Args:
        before: (H, W, C) in [0, 1].
        after: the next frame, of the same shape.
        flow: from `before` to `after`; for a translation, use the flow of the original film.
        visible: see `visible_pixels`.

    Returns:
        At least 0; None if no pixel is visible.
    """
    if not visible.any():
        return None
    return float(((before - warped(after, flow))[visible] ** 2).mean())
