"""Options of every part of speed.py."""

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
    """Options of every part.

    Attributes:
        reference: the reference to compare with, or None.
        pictures: source of the pictures.
        quick: whether to use fewer rounds and pictures, for a trial.
        work: measure only steps and networks whose name contains this text; empty: all.
    """

    reference: Reference | None
    pictures: Pictures
    quick: bool
    work: str = ""

    def of(self, full: int, quick: int) -> int:
        """Return a number of rounds, pictures or seconds."""
        return quick if self.quick else full

    def for_worker(self, module: str, *, work: str, variant: str) -> dict[str, Any]:
        """Return the arguments with which `measure.worker` creates the workload of `module`."""
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
