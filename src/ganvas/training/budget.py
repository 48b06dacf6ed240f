"""Time budget of a training run: when to stop so that `--minutes` are kept, the last validation included."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Closing = Literal["validation", "sample", "checkpoint"]
"""What is done once more after the last step."""
FORWARD_SHARE = 0.3
"""Of a step on one picture, the time that a generator takes to translate one; until a validation was measured."""
SHOWN = 4
"""Pictures of a sample grid, likewise."""
RESERVE_MOST = 1 / 3
"""Of the limit kept for what follows the last step: the rest is for training, however slow a validation is."""
OVER_MOST = 0.1
"""Of the limit that the last step may end beyond it."""


@dataclass
class Budget:
    """The seconds that a run may take, over all its resumptions.

    Validations, sample grids and checkpoints count as training does, and the last of each is reserved: as long as it
    took last, or before it was measured as long as a step lets expect. The next step is taken if with it the run ends
    nearer to the limit than without, and at most a tenth beyond.

    Attributes:
        limit: seconds; None for no limit.
        batch_size: pictures a step.
        validation_pictures: translated in a validation; 0 where there is none.
        kept: seconds reserved at the end of an earlier start of the run, which count until a step was measured.
        now: a clock in seconds.
    """

    limit: float | None
    batch_size: int
    validation_pictures: int
    kept: float = 0.0
    now: Callable[[], float] = time.monotonic
    step_seconds: float | None = field(default=None, init=False)
    _took: dict[Closing, float] = field(default_factory=dict, init=False)

    def took_step(self, seconds: float) -> None:
        """Take in how long a step took; half of each new figure counts, so that a slow start is soon forgotten."""
        self.step_seconds = seconds if self.step_seconds is None else (self.step_seconds + seconds) / 2

    @contextmanager
    def measuring(self, what: Closing) -> Iterator[None]:
        """Time a validation, sample grid or checkpoint."""
        start = self.now()
        yield
        self._took[what] = self.now() - start

    @property
    def reserve(self) -> float:
        """Seconds kept for the last validation, sample grid and checkpoint."""
        if self.step_seconds is None:
            return self.kept
        picture = FORWARD_SHARE * self.step_seconds / self.batch_size
        expected: dict[Closing, float] = {"validation": self.validation_pictures * picture, "sample": SHOWN * picture}
        whole = sum((expected | self._took).values())
        return whole if self.limit is None else min(whole, RESERVE_MOST * self.limit)

    def is_over(self, seconds: float) -> bool:
        """Return whether to stop now, after so many seconds in all."""
        if self.limit is None:
            return False
        left = self.limit - seconds - self.reserve
        beyond = (self.step_seconds or 0.0) - left
        return beyond > min(left, OVER_MOST * self.limit)
