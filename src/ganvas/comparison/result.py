"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganvas.comparison.measures import Measured
from ganvas.comparison.pictures import TestPictures
from ganvas.comparison.plan import Terms
from ganvas.errors import PartialFailure
from ganvas.evaluation.summary import Summary
from ganvas.inference.record import load_generators
from ganvas.methods.config import Direction
from ganvas.training.config import RunConfig
from ganvas.training.result import TrainingResult


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One method: what it was given, what it cost, how good it is.

    Attributes:
        config: of its run.
        trained: how training ended.
        parameters: of all players together, and of what a snapshot holds.
        measured: on the pictures of the comparison.
    """

    config: RunConfig
    trained: TrainingResult
    parameters: tuple[int, int]
    measured: Measured

    @property
    def method(self) -> str:
        """The method's name, without `Config`."""
        return type(self.config.method).__name__.removesuffix("Config")

    @property
    def training_seconds(self) -> float:
        """A picture: all that training did, its samples, validations and checkpoints included."""
        return self.trained.seconds / max(self.trained.images_seen, 1)

    @property
    def pairs_seen(self) -> bool:
        """Whether it was told which pictures belong together."""
        return bool(getattr(self.config.method, "paired", True))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several methods on the same pictures.

    Attributes:
        out: its folder.
        terms: what all were given alike.
        test: what all are measured on.
        references: name -> the same measures of what no method made.
        methods: recipe -> what became of it.
        failures: recipe -> what went wrong.
        asked: how many methods there shall be.
        device: where all ran, in words.
    """

    out: Path
    terms: Terms
    test: TestPictures
    references: Mapping[str, Measured]
    asked: int
    device: str
    methods: dict[str, Compared] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or that of `PartialFailure` where a method failed."""
        return PartialFailure.exit_code if self.failures else 0

    def __str__(self) -> str:
        from ganvas.comparison.report import as_text

        return as_text(self)

    @property
    def rows(self) -> dict[str, Measured]:
        """Name -> measures: the methods, then the references."""
        return {name: compared.measured for name, compared in self.methods.items()} | dict(self.references)


def count_parameters(run: Path) -> tuple[int, int]:
    """All that are trained, and those that a snapshot holds."""
    method = load_generators(run, "last")
    held = [parameter for name in method.generators for parameter in getattr(method, name).parameters()]
    return sum(p.numel() for p in method.parameters()), sum(p.numel() for p in held)


def as_record(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON."""
    test = comparison.test
    return {
        "data": comparison.terms.data.resolve().name,
        "kind": "paired" if test.paired else "unpaired",
        "split": test.split,
        "pictures": {side: len(pictures) for side, pictures in test.sides.items()},
        "refused": test.refused,
        "terms": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(comparison.terms).items()
            if name != "data"
        },
        "device": comparison.device,
        "methods": {name: _as_record(compared) for name, compared in comparison.methods.items()},
        "references": {name: _measures(measured) for name, measured in comparison.references.items()},
        "failures": comparison.failures,
    }


def _as_record(compared: Compared) -> dict[str, Any]:
    trained, measured = compared.trained, compared.measured
    return {
        "method": compared.method,
        "pairs_seen": compared.pairs_seen,
        "batch_size": compared.config.training.batch_size,
        "precision": compared.config.training.precision,
        "images_seen": trained.images_seen,
        "seconds": round(trained.seconds, 1),
        "stopped": trained.stopped,
        "training_seconds_a_picture": round(compared.training_seconds, 5),
        "translating_seconds_a_picture": {way: round(one.seconds, 5) for way, one in measured.translated.items()},
        "parameters": {"trained": compared.parameters[0], "in_a_snapshot": compared.parameters[1]},
        **_measures(measured),
    }


def _measures(measured: Measured) -> dict[str, Any]:
    refused: dict[Direction, dict[str, str]] = {way: one.refused for way, one in measured.translated.items()}
    return {
        "fidelity": _summaries(measured.fidelity),
        "there_and_back_psnr": _summaries(measured.returned),
        "distances": {way: [one.as_record() for one in found] for way, found in measured.distances.items()},
        "refused": refused,
    }


def _summaries(summaries: Mapping[Any, Summary]) -> dict[str, dict[str, Any]]:
    return {str(name): vars(summary) for name, summary in summaries.items()}
