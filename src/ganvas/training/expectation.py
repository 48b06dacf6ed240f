"""Expectations at the start of a training: the machine, its measured speed, the estimated end, and smaller settings."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

import torch

from ganvas.hardware.precision import choose_precision
from ganvas.hardware.processor import processor_name
from ganvas.training.config import RunConfig
from ganvas.training.schedule import duration

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
