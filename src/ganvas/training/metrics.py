"""Training metrics: `metrics.jsonl`, and TensorBoard scalars and preview images where asked for."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ganvas.errors import MissingDependency
from ganvas.image.files import read_image
from ganvas.training.run_folder import METRICS_NAME

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


LEARNING_RATE = "learning_rate"


class Metrics:
    """Rows of figures, each with its `kind` (training or validation) and the number of `images` seen.

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
            beside: further numbers of the row; TensorBoard shows the learning rate among them.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in (figures | beside).items()}
        self._file.write(json.dumps({"kind": kind, "images": images_seen, **numbers}) + "\n")
        self._file.flush()
        if self._board:
            shown = figures | {name: value for name, value in beside.items() if name == LEARNING_RATE}
            for name, value in shown.items():
                self._board.add_scalar(f"{kind}/{name}", value, images_seen)

    def preview(self, images_seen: int, grid: Path) -> None:
        """Show a preview grid in TensorBoard, where it is on.

        Args:
            images_seen: when.
            grid: the picture that was written; its tiles have passed the content gate.
        """
        if self._board:
            self._board.add_image("samples", read_image(grid).as_rgb8(), images_seen, dataformats="HWC")

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
