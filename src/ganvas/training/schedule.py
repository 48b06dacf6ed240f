"""Training schedule: learning rate, intervals, clock, time budget and end of a run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from ganvas.errors import ConfigError
from ganvas.training.config import Decay, TrainingConfig

Stopped = Literal["done", "minutes", "interrupted"]
"""Reason why training ends: all epochs are done, the time limit is reached, or Ctrl-C or SIGTERM."""


def learning_rate(
    images_seen: int, *, total: int, full: float, constant_fraction: float, decay: Decay = "linear"
) -> float:
    """Return `full` for a `constant_fraction` of `total` images; then a tenth, or linear decay to 0 at `total`."""
    constant = constant_fraction * total
    if images_seen <= constant or constant_fraction == 1:  # the last batch may exceed the total
        return full
    if decay == "tenth":
        return full / 10
    return full * max(total - images_seen, 0) / (total - constant)


def num_images(epochs: float, epoch_size: int) -> int:
    """Return the number of images of a whole run.

    Raises:
        ConfigError: the epochs round to zero images.
    """
    if total := round(epochs * epoch_size):
        return total
    least = f"use at least {1 / epoch_size:.2g}"
    raise ConfigError(f"epochs {epochs} of {epoch_size} pictures is less than one picture; {least}")


def reached(every: int, before: int, after: int) -> bool:
    """Return whether a multiple of `every` images lies in (before, after]: true once per interval at any batch size."""
    return after // every > before // every


def step_seed(seed: int, images_seen: int, rank: int) -> int:
    """Return the seed of one step's noise, in [0, 2**63).

    All noise of a step comes from a generator with this seed, so that resuming needs no stored generator state, and a
    validation does not change the noise of training. The seed is a hash because neighboring seeds are not independent
    in every generator.
    """
    digest = hashlib.blake2b(f"{seed}/{images_seen}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass
class Clock:
    """Clock of a run: images, steps and seconds over all its resumptions, and the speed since the last one.

    Attributes:
        images_seen: number of training images so far.
        step: number of training steps so far.
        before: seconds spent before this resumption.
        started: time of this resumption, by `time.monotonic`.
        paused: seconds since then in validation, previews and checkpoints.
    """

    images_seen: int = 0
    step: int = 0
    before: float = 0.0
    started: float = field(default_factory=lambda: time.monotonic())
    paused: float = 0.0
    images_at_start: int = field(init=False)

    def __post_init__(self) -> None:
        self.images_at_start = self.images_seen

    def advance(self, images: int) -> None:
        """Count one step on a batch of `images` images."""
        self.images_seen += images
        self.step += 1

    @property
    def seconds(self) -> float:
        """Seconds since the first start, excluding the time between a stop and a resumption."""
        return self.before + time.monotonic() - self.started

    @property
    def busy(self) -> float:
        """Seconds in training steps since the resumption; pauses do not count."""
        return time.monotonic() - self.started - self.paused

    @property
    def rate(self) -> float:
        """Images per second in training steps since the resumption."""
        busy = self.busy
        return (self.images_seen - self.images_at_start) / busy if busy > 0 else 0.0

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Exclude the time inside from the rate: validation, previews, checkpoints."""
        start = time.monotonic()
        yield
        self.paused += time.monotonic() - start


Closing = Literal["validation", "sample", "checkpoint"]
"""Kinds of work that are repeated after the last step."""
FORWARD_SHARE = 0.3
"""Assumed share of a forward pass in the time of a step on one picture, until a validation was measured."""
NUM_SHOWN = 4
"""Number of pictures in a preview grid."""
RESERVE_MOST = 1 / 3
"""Largest share of the limit reserved for the work after the last step."""
OVER_MOST = 0.1
"""Largest share of the limit by which the last step may exceed it."""


@dataclass
class Budget:
    """Time budget of a run, over all its resumptions.

    Validations, preview grids and checkpoints count too, and time for the last of each is reserved: the duration of the
    previous one, or an estimate from the step time. The next step is taken if the run then ends nearer to the limit
    than without it, and at most a tenth beyond.

    Attributes:
        limit: limit in seconds; None for no limit.
        batch_size: number of pictures per step.
        validation_pictures: number of pictures translated in a validation; 0 without validation.
        kept: seconds that an earlier start of the run had reserved at its end, used until a step was measured.
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
        """Update the step time as a moving average with weight one half, which discounts the slow first steps."""
        self.step_seconds = seconds if self.step_seconds is None else (self.step_seconds + seconds) / 2

    @contextmanager
    def measuring(self, what: Closing) -> Iterator[None]:
        """Measure the time of a validation, preview grid or checkpoint."""
        start = self.now()
        yield
        self._took[what] = self.now() - start

    @property
    def reserve(self) -> float:
        """Seconds reserved for the last validation, preview grid and checkpoint."""
        if self.step_seconds is None:
            return self.kept
        picture = FORWARD_SHARE * self.step_seconds / self.batch_size
        expected: dict[Closing, float] = {
            "validation": self.validation_pictures * picture,
            "sample": NUM_SHOWN * picture,
        }
        total = sum((expected | self._took).values())
        return total if self.limit is None else min(total, RESERVE_MOST * self.limit)

    def is_over(self, seconds: float) -> bool:
        """Return whether to stop after `seconds` in total."""
        if self.limit is None:
            return False
        left = self.limit - seconds - self.reserve
        beyond = (self.step_seconds or 0.0) - left
        return beyond > min(left, OVER_MOST * self.limit)


@dataclass(frozen=True)
class Schedule:
    """Learning rate and end of a run.

    Attributes:
        settings: settings of the training.
        total: number of images of the whole run.
        budget: time limit.
    """

    settings: TrainingConfig
    total: int
    budget: Budget

    def learning_rate(self, images_seen: int) -> float:
        """Return the learning rate after `images_seen` images."""
        full, constant, decay = (
            self.settings.learning_rate,
            self.settings.constant_fraction,
            self.settings.decay,
        )
        return learning_rate(images_seen, total=self.total, full=full, constant_fraction=constant, decay=decay)

    def images_left(self, clock: Clock) -> int:
        """Return the number of images until the epochs are done."""
        return max(self.total - clock.images_seen, 0)

    def seconds_left(self, clock: Clock) -> float:
        """Return the estimated seconds until the epochs are done or the time limit is reached."""
        rate = clock.rate
        left = self.images_left(clock) / rate if rate else float("inf")
        return left if self.budget.limit is None else min(left, max(self.budget.limit - clock.seconds, 0))
