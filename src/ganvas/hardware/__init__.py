"""Processor and GPU facts, and the choices that follow from them: precision and threads. No torch here."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bfloat16"]
"""What convolutions compute in."""
PrecisionChoice = Literal["float32", "bfloat16", "auto"]
"""What a user asks for; auto is bfloat16 where the processor or GPU computes it fast, else float32."""
