"""Types shared by the configs of methods. No torch here: the command line reads them."""

from typing import Literal

from ganvas.errors import ConfigError

Norm = Literal["batch", "instance", "none"]
Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]
Variant = Literal["paper", "pytorch"]
ReceptiveField = Literal[1, 16, 34, 70, 142, 286]
Direction = Literal["a_to_b", "b_to_a"]
"""Direction of translation: from domain a, the input, to domain b, or back."""
Domain = Literal["a", "b"]
MOST_FRAMES = 15
"""Frames of a window: about half a second."""
OPPOSITE: dict[Direction, Direction] = {"a_to_b": "b_to_a", "b_to_a": "a_to_b"}


def check_frames(frames: int) -> None:
    """Raise ConfigError unless a window of so many frames has a middle."""
    if frames < 1 or frames % 2 == 0 or frames > MOST_FRAMES:
        raise ConfigError(f"frames {frames} must be an odd number from 1 to {MOST_FRAMES}: as many before as after")
