"""Result of a comparison: its tables, text and JSON record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from ganvas.errors import PartialFailure
from ganvas.evaluation import ComparisonConfig
from ganvas.evaluation.comparison_measures import Measured
from ganvas.evaluation.comparison_plan import SIDES, TestPictures
from ganvas.methods.config import Direction
from ganvas.metrics.fidelity import TITLES, Summary
from ganvas.reports.ranking import Ranking, worst_first
from ganvas.reports.tables import Cell, Rows, mean_and_deviation, tables_as_text
from ganvas.training.config import RunConfig
from ganvas.training.report import TrainingResult, duration

JSON_NAME, HTML_NAME, GRID_NAME, CSV_NAME = "comparison.json", "report.html", "grid.png", "pictures.csv"
IDENTITY, TRAINING = "unchanged input", "training pictures"
"""Names of the references: the unchanged input, and another real sample."""
NUM_NAMED = 10
"""Number of refused pictures that the page and the terminal name."""
FIDELITY = {**TITLES, "lpips": "LPIPS"}
DIRECTIONS: dict[Direction, str] = {"a_to_b": "a to b", "b_to_a": "b to a"}
COST = ("learns from", "images seen", "training", "s a picture", "s a translation", "parameters", "to translate")
Columns = dict[str, Callable[[Measured], Cell]]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One method of a comparison: configuration, cost and measures.

    Attributes:
        config: config of its run.
        trained: result of the training.
        parameters: number of parameters of all players, and of a snapshot.
        measured: metrics on the pictures of the comparison.
    """

    config: RunConfig
    trained: TrainingResult
    parameters: tuple[int, int]
    measured: Measured

    @property
    def method(self) -> str:
        """Return the method's name, without `Config`."""
        return type(self.config.method).__name__.removesuffix("Config")

    @property
    def training_seconds(self) -> float:
        """Return the seconds per picture of all training work, including previews, validation and checkpoints."""
        return self.trained.seconds / max(self.trained.images_seen, 1)

    @property
    def has_outputs(self) -> bool:
        """Whether the content gate admits any of its translations."""
        return any(one.outputs for one in self.measured.translated.values())

    @property
    def pairs_seen(self) -> bool:
        """Whether it was trained on pairs."""
        return bool(getattr(self.config.method, "paired", True))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of several methods on the same pictures.

    Attributes:
        out: output folder.
        settings: common settings.
        test: the test pictures.
        references: name -> the same metrics of the reference.
        methods: recipe -> result.
        failures: recipe -> error.
        asked: number of requested methods.
        device: description of the device.
    """

    out: Path
    settings: ComparisonConfig
    test: TestPictures
    references: Mapping[str, Measured]
    asked: int
    device: str
    methods: dict[str, Compared] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 0, or the exit code of `PartialFailure` if a method failed."""
        return PartialFailure.exit_code if self.failures else 0

    @property
    def num_pending(self) -> int:
        """Return the number of methods that are not trained and measured yet."""
        return self.asked - len(self.methods) - len(self.failures)

    def __str__(self) -> str:
        return as_text(self)

    @property
    def rows(self) -> dict[str, Measured]:
        """Return name -> metrics: the methods, then the references."""
        return {name: compared.measured for name, compared in self.methods.items()} | dict(self.references)


def ranking_of(comparison: Comparison, limit: int) -> Ranking:
    """Return the test pictures by their mean PSNR over the methods, the lowest first; empty without pairs.

    Pictures of which every output was refused are not included.
    """
    found: dict[str, list[float]] = {}
    for compared in comparison.methods.values():
        for name, measures in compared.measured.scores.items():
            psnr = measures["psnr"]
            found.setdefault(name, []).extend([] if psnr is None else [psnr])
    return Ranking(worst_first({name: fmean(values) if values else None for name, values in found.items()}), limit)


def every_picture(comparison: Comparison) -> Rows:
    """Return a row of metrics for each picture and method for the CSV file, the worst pictures first."""
    measured = {name: row.scores for name, row in comparison.rows.items() if row.scores}
    names = ranking_of(comparison, limit=3).names
    rows: list[list[Cell]] = [
        [name, method, *(scores[name][measure] for measure in FIDELITY)]
        for name in names
        for method, scores in measured.items()
        if name in scores
    ]
    return ["picture", "method", *FIDELITY], rows


def named(names: Sequence[str]) -> str:
    """Return names as a list in words: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def as_record(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON."""
    test = comparison.test
    return {
        "data": comparison.settings.data.resolve().name,
        "kind": "paired" if test.paired else "unpaired",
        "split": test.split,
        "pictures": {side: len(pictures) for side, pictures in test.sides.items()},
        "refused": test.refused,
        "terms": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(comparison.settings).items()
            if name not in ("data", "methods", "out", "pictures", "threads")
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
        "translating_seconds_a_picture": {
            direction: round(one.seconds, 5) for direction, one in measured.translated.items()
        },
        "parameters": {"trained": compared.parameters[0], "in_a_snapshot": compared.parameters[1]},
        **_measures(measured),
    }


def _measures(measured: Measured) -> dict[str, Any]:
    refused: dict[Direction, dict[str, str]] = {
        direction: one.refused for direction, one in measured.translated.items()
    }
    return {
        "fidelity": _summaries(measured.fidelity),
        "there_and_back_psnr": _summaries(measured.returned),
        "distances": {direction: [one.as_record() for one in found] for direction, found in measured.distances.items()},
        "refused": refused,
    }


def _summaries(summaries: Mapping[Any, Summary]) -> dict[str, dict[str, Any]]:
    return {str(name): vars(summary) for name, summary in summaries.items()}


def as_text(comparison: Comparison) -> str:
    """Return the tables for the terminal, the failures and the path of the report."""
    failed = [f"{name} failed: {why}" for name, why in comparison.failures.items()]
    lines = [tables_as_text(tables(comparison)), *remarks(comparison), *failed]
    return "\n".join([*lines, f"Report: {comparison.out / HTML_NAME}"])


def remarks(comparison: Comparison) -> list[str]:
    """Return sentences on refused pictures: test pictures, then outputs of each method and direction."""
    test = comparison.test
    sentences = [_refused(f"test pictures of {comparison.settings.data.resolve().name}", test.refused, None)]
    for name, compared in comparison.methods.items():
        for direction, translated in compared.measured.translated.items():
            total = len(translated.outputs) + len(translated.refused)
            sentences.append(_refused(f"outputs of {name}, {DIRECTIONS[direction]}", translated.refused, total))
    return [sentence for sentence in sentences if sentence]


def _refused(what: str, refused: Mapping[str, str], total: int | None) -> str:
    """Return one sentence, empty without refusals; `comparison.json` has the complete list."""
    if not refused:
        return ""
    named = [f"{name} ({reason})" for name, reason in refused.items()]
    more = [f"and {len(named) - NUM_NAMED} more in {JSON_NAME}"] if len(named) > NUM_NAMED else []
    count = f"{len(refused)}" if total is None else f"{len(refused)} of {total}"
    rest = "" if total is None else f"; its figures are of the other {total - len(refused)}"
    return f"{count} {what}, refused by the content gate: {'; '.join(named[:NUM_NAMED] + more)}{rest}"


def tables(comparison: Comparison) -> dict[str, Rows]:
    """Return title -> header and rows."""
    targets: Columns = {title: partial(_fidelity, name) for name, title in FIDELITY.items()}
    found: dict[str, Columns] = {"Against the targets": targets, "Without targets": distribution_columns(comparison)}
    cost = [[name, *_cost(compared)] for name, compared in comparison.methods.items()]
    measured = {title: _filled(comparison, columns) for title, columns in found.items()}
    return {title: table for title, table in measured.items() if table[1]} | {"Cost": (["", *COST], cost)}


def distribution_columns(comparison: Comparison) -> Columns:
    """Return title -> accessor of the distances from the real pictures of either side and of round trips."""
    columns: Columns = {}
    for direction, (_, wanted) in SIDES.items():
        found = [one.measure for row in comparison.rows.values() for one in row.distances.get(direction, [])]
        for measure in dict.fromkeys(found):
            columns[f"{measure.removesuffix(' distance')}, {wanted}"] = partial(_distance, direction, measure)
    return columns | {f"{given} back (dB)": partial(_returned, direction) for direction, (given, _) in SIDES.items()}


def _filled(comparison: Comparison, columns: Columns) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows without the empty rows and columns."""
    rows = {name: {title: take(one) for title, take in columns.items()} for name, one in comparison.rows.items()}
    kept = [title for title in columns if any(row[title] is not None for row in rows.values())]
    filled = {name: [row[title] for title in kept] for name, row in rows.items()}
    return ["", *kept], [[name, *row] for name, row in filled.items() if any(value is not None for value in row)]


def _fidelity(name: str, measured: Measured) -> Cell:
    return _mean_of(measured.fidelity.get(name))


def _returned(direction: Direction, measured: Measured) -> Cell:
    return _mean_of(measured.returned.get(direction))


def _distance(direction: Direction, measure: str, measured: Measured) -> Cell:
    for one in measured.distances.get(direction, []):
        if one.measure == measure:
            return one.value if one.deviation is None else mean_and_deviation(one.value, one.deviation)
    return None


def _cost(compared: Compared) -> list[Cell]:
    trained, translated = compared.trained, compared.measured.translated
    stopped = {"done": "all epochs", "minutes": "the time was over"}[trained.stopped]
    return [
        "pairs" if compared.pairs_seen else "two sides",
        trained.images_seen,
        f"{duration(trained.seconds)}, {stopped}",
        compared.training_seconds,
        translated["a_to_b"].seconds,
        *(f"{count / 1e6:.2f} M" for count in compared.parameters),
    ]


def _mean_of(summary: Summary | None) -> Cell:
    return None if summary is None else mean_and_deviation(summary.mean, summary.deviation)
