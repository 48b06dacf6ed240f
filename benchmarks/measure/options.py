"""What every part of speed.py is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from measure.pictures import Pictures
from measure.reference import Reference
from measure.table import Table


@dataclass(frozen=True)
class Options:
    """What every part is told.

    Attributes:
        reference: what to compare with, or None.
        pictures: what to work on.
        quick: fewer rounds and pictures, for a trial.
        work: steps and networks whose name has this text alone; empty: all.
    """

    reference: Reference | None
    pictures: Pictures
    quick: bool
    work: str = ""

    def of(self, full: int, quick: int) -> int:
        """A number of rounds, pictures or seconds."""
        return quick if self.quick else full

    def for_worker(self, module: str, *, work: str, variant: str) -> dict[str, Any]:
        """What `measure.worker` is given, to have its work made by `module`."""
        return {
            "module": module,
            "work": work,
            "variant": variant,
            "threads": torch.get_num_threads(),
            "reference": None if self.reference is None else vars(self.reference),
            "data": str(self.pictures.data) if self.pictures.data else None,
            "folder": str(self.pictures.work),
        }


Part = Callable[[Options], list[Table]]
