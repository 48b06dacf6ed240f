"""`ganvas density QUESTION`: answer it, write a picture and its numbers, and put it into a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganvas.bulk import claimed
from ganvas.bulk.atomic import write_json
from ganvas.bulk.progress import Tell
from ganvas.errors import ConfigError
from ganvas.toy.answers import ANSWERS, USUAL_STEPS, Row
from ganvas.toy.figures import check_matplotlib, save_figure


@dataclass(frozen=True)
class Study:
    """A question answered; printed, its table and where the files lie."""

    rows: Sequence[Row]
    figure: Path
    metrics: Path

    def __str__(self) -> str:
        return f"{as_table(self.rows)}\nFigure: {self.figure}\nMetrics: {self.metrics}"


def study(question: str, out: Path, *, seed: int, steps: int | None, tell: Tell) -> Study:
    """Answer a question and write OUT/QUESTION.png and OUT/QUESTION.json, each whole or not at all.

    Args:
        question: a name of `ANSWERS`.
        out: the folder to write.
        seed: of everything drawn.
        steps: of training; None: as many as the question needs.
        tell: called with what is trained, the step and the last step.

    Raises:
        ConfigError: a negative seed, fewer than one step, or steps for a question that trains nothing.
        MissingDependency: matplotlib is not installed.
        DivergenceError: a training ended in NaN or infinity.
        OSError: the folder cannot be written.
    """
    if seed < 0:
        raise ConfigError(f"seed {seed} must not be negative")
    usual = USUAL_STEPS.get(question)
    if usual is None and steps is not None:
        raise ConfigError(f"{question} trains nothing: leave --steps out")
    steps = usual if steps is None else steps
    if steps is not None and steps < 1:
        raise ConfigError(f"steps {steps} must be at least 1")
    check_matplotlib()
    with claimed(out):
        answer = ANSWERS[question](seed=seed, steps=steps or 0, tell=tell)
        figure, metrics = out / f"{question}.png", out / f"{question}.json"
        save_figure(answer.figure, figure)
        asked = {"question": question, "seed": seed, "steps": steps}
        write_json(metrics, {**asked, "rows": answer.rows, **answer.more})
    return Study(answer.rows, figure, metrics)


def as_table(rows: Sequence[Row]) -> str:
    """Rows of the same names as lines, the columns aligned."""
    names = list(rows[0])
    lines = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
