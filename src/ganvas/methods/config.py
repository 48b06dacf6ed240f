"""Types shared by the configs of methods. No torch here: the command line reads them."""

from typing import Literal

Norm = Literal["batch", "instance", "none"]
Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]
Variant = Literal["paper", "pytorch"]
ReceptiveField = Literal[1, 16, 34, 70, 142, 286]
Direction = Literal["a_to_b", "b_to_a"]
"""Direction of translation: from domain a, the input, to domain b, or back."""
Domain = Literal["a", "b"]
OPPOSITE: dict[Direction, Direction] = {"a_to_b": "b_to_a", "b_to_a": "a_to_b"}
