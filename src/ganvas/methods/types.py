"""The words that settings of several methods share."""

from __future__ import annotations

from typing import Literal

Norm = Literal["batch", "instance", "none"]
Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]
Variant = Literal["paper", "pytorch"]
ReceptiveField = Literal[1, 16, 34, 70, 142, 286]
Direction = Literal["a_to_b", "b_to_a"]
"""Which way a method translates: from domain a, which is given, to domain b, or back."""
Domain = Literal["a", "b"]
OPPOSITE: dict[Direction, Direction] = {"a_to_b": "b_to_a", "b_to_a": "a_to_b"}
