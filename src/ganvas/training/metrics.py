"""`metrics.jsonl`, and TensorBoard events beside it where asked for."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ganvas.errors import MissingDependency
from ganvas.training.run_folder import METRICS_NAME

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class Metrics:
    """Rows of figures. Each row says its `kind` (training or validation) and after how many `images`.

    Args:
        run: the run folder.
        tensorboard: write events too.
        images_seen: events after this are hidden, as after a resumption.
    """

    def __init__(self, run: Path, *, tensorboard: bool, images_seen: int) -> None:
        self._board = _open_board(run / "tensorboard", images_seen) if tensorboard else None
        self._file = (run / METRICS_NAME).open("a", encoding="utf-8")

    def write(self, kind: str, images_seen: int, figures: dict[str, float], **beside: float) -> None:
        """Append one row.

        Args:
            kind: training or validation.
            images_seen: when.
            figures: what was measured; TensorBoard shows these.
            beside: further numbers of the row.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in (figures | beside).items()}
        self._file.write(json.dumps({"kind": kind, "images": images_seen, **numbers}) + "\n")
        self._file.flush()
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(f"{kind}/{name}", value, images_seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def check_tensorboard() -> None:
    """Raise MissingDependency, with the command that mends it, unless TensorBoard can be written to."""
    try:
        import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise MissingDependency("tensorboard", "tensorboard", "training with tensorboard on") from error


def _open_board(folder: Path, images_seen: int) -> SummaryWriter:
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=images_seen + 1)  # hides what lies at that step too
