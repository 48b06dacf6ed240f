"""Processor and GPU properties, and the choice of precision and threads; imports no torch."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bfloat16"]
"""Data type of convolutions and matrix products."""
PrecisionChoice = Literal["float32", "bfloat16", "auto"]
"""Requested precision; auto is bfloat16 if the processor or GPU computes it fast, else float32."""
