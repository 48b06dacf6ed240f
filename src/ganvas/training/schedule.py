"""The clock of a run is the number of images seen: batch size and process count never change a schedule."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ganvas.errors import ConfigError
from ganvas.training.config import Decay

HOURS_MOST = 96
"""From which on a time is told in days."""


def learning_rate(
    images_seen: int, *, total: int, full: float, constant_fraction: float, decay: Decay = "linear"
) -> float:
    """`full` for the first `constant_fraction` of `total` images, then falling linearly to 0 at `total`, or a tenth."""
    constant = constant_fraction * total
    if images_seen <= constant or constant_fraction == 1:  # a last batch may reach beyond the total
        return full
    if decay == "tenth":
        return full / 10
    return full * max(total - images_seen, 0) / (total - constant)


def num_images(epochs: float, epoch_size: int) -> int:
    """Images of a whole run.

    Raises:
        ConfigError: so small a part of an epoch that there is none.
    """
    if total := round(epochs * epoch_size):
        return total
    least = f"give at least {1 / epoch_size:.2g}"
    raise ConfigError(f"epochs {epochs} of {epoch_size} pictures is not one picture; {least}")


def reached(every: int, before: int, after: int) -> bool:
    """Whether a multiple of `every` images lies in (before, after]: true once an interval at any batch size."""
    return after // every > before // every


def step_seed(seed: int, images_seen: int, rank: int) -> int:
    """The seed of one step's noise, in [0, 2**63).

    All noise of a step comes from a generator seeded by this, so a resumed run needs no stored generator state, and
    validation in between draws nothing from training. Hashed, since neighbouring seeds are not independent of one
    another in every generator.
    """
    digest = hashlib.blake2b(f"{seed}/{images_seen}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass
class Clock:
    """Wall time of a run in seconds, over all its resumptions, and the rate of this one.

    Attributes:
        before: seconds spent before this resumption.
        images_at_start: images seen at this resumption's start.
    """

    before: float = 0.0
    images_at_start: int = 0
    started: float = field(default_factory=time.monotonic)
    paused: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the first start, without the time between a stop and a resumption."""
        return self.before + time.monotonic() - self.started

    @property
    def busy(self) -> float:
        """Seconds of training steps since the resumption, pauses not counted."""
        return time.monotonic() - self.started - self.paused

    def rate(self, images_seen: int) -> float:
        """Images a second in training steps since the resumption."""
        busy = self.busy
        return (images_seen - self.images_at_start) / busy if busy > 0 else 0.0

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time inside does not count against the rate: validation, samples, checkpoints."""
        start = time.monotonic()
        yield
        self.paused += time.monotonic() - start


def duration(seconds: float) -> str:
    """Return a time as a person says it: 45 s, 12 min, 3 h 05 min, 16 days."""
    if seconds == float("inf"):
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes >= 60 * HOURS_MOST:
        return f"{minutes / 60 / 24:,.0f} days"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
