"""Learning-rate schedule, clock and time budget of a run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Literal

import torch

from ganvas.errors import ConfigError
from ganvas.hardware.precision import choose_precision
from ganvas.hardware.processor import processor_name
from ganvas.training.config import Decay, RunConfig

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
    """Return the number of images of a whole run.

    Raises:
        ConfigError: so small a part of an epoch that there is none.
    """
    if total := round(epochs * epoch_size):
        return total
    least = f"give at least {1 / epoch_size:.2g}"
    raise ConfigError(f"epochs {epochs} of {epoch_size} pictures is not one picture; {least}")


def reached(every: int, before: int, after: int) -> bool:
    """Return whether a multiple of `every` images lies in (before, after]: true once an interval at any batch size."""
    return after // every > before // every


def step_seed(seed: int, images_seen: int, rank: int) -> int:
    """Return the seed of one step's noise, in [0, 2**63).

    All noise of a step comes from a generator seeded by this, so a resumed run needs no stored generator state, and
    validation in between draws nothing from training. Hashed, since neighboring seeds are not independent of one
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
        """Return images per second in training steps since the resumption."""
        busy = self.busy
        return (images_seen - self.images_at_start) / busy if busy > 0 else 0.0

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Exclude the time inside from the rate: validation, samples, checkpoints."""
        start = time.monotonic()
        yield
        self.paused += time.monotonic() - start


def duration(seconds: float) -> str:
    """Return a time in words: 45 s, 12 min, 3 h 05 min, 16 days."""
    if seconds == float("inf"):
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes >= 60 * HOURS_MOST:
        return f"{minutes / 60 / 24:,.0f} days"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


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
        """Update the step time; half of each new figure counts, so that a slow start is soon forgotten."""
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


LONG = 24 * 3600.0
"""Seconds of a training from which smaller settings are named."""
SMALL_SIDE = 128
SMALL_WIDTH = 32


def expect(
    config: RunConfig,
    device: torch.device,
    *,
    threads: int,
    rate: float,
    images_left: int,
    seconds_left: float,
    now: datetime,
) -> list[str]:
    """Return the lines that a person should see once the speed is known.

    Args:
        config: of the run, its precision chosen.
        device: where it computes.
        threads: of the CPU.
        rate: measured images a second.
        images_left: until the end of the epochs.
        seconds_left: that `--minutes` leave; infinite without a limit.
        now: the time of day.
    """
    needed = images_left / rate
    seconds = min(needed, seconds_left)
    end = (now + timedelta(seconds=seconds)).strftime("%a %d %b %H:%M")
    lines = [f"{machine_line(device, threads, config.training.precision)}: {_pace(rate)} images/s"]
    if needed > seconds_left:
        lines.append(
            f"The time is over in {duration(seconds)} ({end}), after about {rate * seconds:,.0f} more of "
            f"{images_left:,} images"
        )
    else:
        lines.append(f"{images_left:,} images end in about {duration(seconds)} ({end})")
    if seconds > LONG:
        lines.append(f"That is long. {smaller(config, device)}")
    return lines


def machine_line(device: torch.device, threads: int, precision: str) -> str:
    """Return the processor or GPU, the threads where they count, and the precision."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    counted = f"{threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else str(device)
    return f"{processor_name()}, {counted}, {precision}"


def smaller(config: RunConfig, device: torch.device) -> str:
    """Return settings of this run that take less time, as flags of the command line."""
    ways = []
    height, width = config.data.crop_size
    if min(height, width) >= 2 * SMALL_SIDE and config.data.resize != "none":
        times = height * width / SMALL_SIDE**2
        load = round(SMALL_SIDE * config.data.load_size[0] / height)
        ways.append(
            f"--crop-size {SMALL_SIDE} {SMALL_SIDE} --load-size {load} {load} (about {times:.0f} times as fast)"
        )
    if getattr(config.method, "width", 0) > SMALL_WIDTH:
        names = [field.name for field in fields(config.method) if field.name in ("width", "discriminator_width")]
        flags = " ".join(f"--{name.replace('_', '-')} {SMALL_WIDTH}" for name in names)
        ways.append(f"{flags} (up to 4 times)")
    if config.training.precision == "float32" and choose_precision("auto", device) == "bfloat16":
        ways.append("--precision bfloat16 (about twice)")
    ways.append("fewer --epochs, or --minutes M")
    return f"Smaller settings learn in hours: {'; '.join(ways)}"


def _pace(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
