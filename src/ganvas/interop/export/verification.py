"""Verification of an exported network: the largest difference from the translator, in gray levels of 255."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganvas.errors import ExportError
from ganvas.hardware.device import cores_for_networks
from ganvas.hardware.threads import computing_with
from ganvas.image.ranges import signed_from_unit, unit_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.interop.export.job import ExportJob, Floats, Run
from ganvas.interop.export.network import NoiseInput, first_line, noise_side
from ganvas.interop.export.plain_layers import Draw, GivenDropout

LIMITS = {"float32": 1.0, "float16": 3.0}
"""Largest allowed difference of an export, in gray levels of 255."""
LARGEST_SIDE = 256
"""Pixels of the longest side of the pictures, unless the network needs more."""
SEED = 19


@dataclass(frozen=True)
class Check:
    """Comparison on pictures of one size.

    Attributes:
        pictures: batch size.
        height, width: size of the pictures.
        largest, mean: largest and mean difference in gray levels of 255.
        seconds: runtime -> seconds of the faster of two runs.
    """

    pictures: int
    height: int
    width: int
    largest: float
    mean: float
    seconds: dict[str, float]

    def as_record(self) -> dict[str, Any]:
        """Return the comparison ready for JSON."""
        return asdict(self)


def verify(job: ExportJob, run: Run, *, runtime: str) -> list[Check]:
    """Compare the exported network with the translator on pictures of several sizes.

    Args:
        job: job with the translator.
        run: function that runs the exported network in the other program.
        runtime: name of the other program, for messages.

    Raises:
        ExportError: a difference is above the limit, or the other program fails.
    """
    # 1. Compare at several shapes: padding, cropping and dynamic axes fail only at sizes other than the traced one.
    checks = [
        _compare(job, run, shape, runtime=runtime, seed=SEED + number) for number, shape in enumerate(_shapes(job))
    ]

    # 2. Judge by the largest difference, because a mean hides errors at borders; the comparison also rejects NaN.
    limit, worst = LIMITS[job.metadata.precision], max(checks, key=lambda check: _finite(check.largest))
    if not worst.largest <= limit:
        raise ExportError(
            f"{job.run}: the exported network differs from the run by {worst.largest:.3g} gray levels of 255 at "
            f"{worst.height}x{worst.width} pixels in {runtime}, more than {limit:g}; nothing was written. "
            + ("Export it in float32" if job.half else "Try another format, or report this run")
        )
    return checks


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.inf


def _shapes(job: ExportJob) -> list[tuple[int, int, int]]:
    """Return (pictures, height, width) of the comparisons: about the size of training, odd sizes, and a batch."""
    if job.size is not None:
        return [(1, *job.size)] * 3
    height, width = (min(side, LARGEST_SIDE) for side in job.record.image_size)
    odd, tall = (height * 3 // 4 | 1, width // 2 | 1), (height // 2 | 1, width * 9 // 8 | 1)
    return [(1, height, width), (1, *odd), (1, *tall), (2, *odd)]


def _compare(job: ExportJob, run: Run, shape: tuple[int, int, int], *, runtime: str, seed: int) -> Check:
    """Compare on one batch; the translator takes its pictures one at a time."""
    # 1. Draw the same pictures and noise for both programs.
    pictures, height, width = shape
    random = np.random.default_rng(seed)
    image = np.stack([natural_picture(job.channels, height, width, random) for _ in range(pictures)])
    noise = [_noise(job, one, shape, random) for one in job.network.noise]

    # 2. Run both; the translator's layers are independent of those of the exported network.
    wanted, our_seconds = _timed(lambda: reference(job, image, noise))
    try:
        found, seconds = _timed(lambda: run(image, *noise))
    except Exception as error:
        raise ExportError(
            f"{job.run}: {runtime} cannot run the exported network at {height}x{width} pixels ({first_line(error)}); "
            "nothing was written. Try another format"
        ) from error
    if found.shape != wanted.shape:
        raise ExportError(
            f"{job.run}: {runtime} gives {found.shape} instead of {wanted.shape}; nothing was "
            "written. Try another format, or report this run"
        )

    # 3. Measure in gray levels, in float64 so that the subtraction adds no rounding error.
    apart = 255 * np.abs(found.astype(np.float64) - wanted)
    return Check(
        pictures, height, width, float(apart.max()), float(apart.mean()), {"ganvas": our_seconds, runtime: seconds}
    )


def natural_picture(channels: int, height: int, width: int, random: np.random.Generator) -> Floats:
    """Return a picture with gradients, edges, flat parts and noise, as in photographs: (C, H, W) in [0, 1]."""
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    picture = np.full((channels, height, width), 0.5)
    for plane in picture:
        for amplitude, down, across in random.uniform((0.04, -3, -3), (0.16, 3, 3), (4, 3)):
            plane += amplitude * np.sin(2 * np.pi * (down * rows + across * columns))
    for _ in range(6):  # objects with sharp edges, one color each
        top, left = random.integers(0, height), random.integers(0, width)
        place = slice(top, top + 1 + height // 3), slice(left, left + 1 + width // 3)
        picture[:, *place] = random.uniform(0, 1, (channels, 1, 1))
    picture += random.normal(0, 0.03, picture.shape)
    return picture.clip(0, 1).astype(np.float32)


def _noise(job: ExportJob, one: NoiseInput, shape: tuple[int, int, int], random: np.random.Generator) -> Floats:
    """Return uniform random numbers for a noise input."""
    pictures, *sides = shape
    sizes = [noise_side(side, job.network, one) for side in sides]
    return random.random((pictures, one.channels, *sizes), dtype=np.float32)


def reference(job: ExportJob, image: Floats, noise: Sequence[Floats] = ()) -> Floats:
    """Translate (N, C, H, W) in [0, 1] by the translator's own networks, one picture at a time."""
    method, direction, made = job.translator.method, job.direction, list[Tensor]()
    with torch.inference_mode(), torch.random.fork_rng(devices=[]), computing_with(cores_for_networks()):
        torch.manual_seed(SEED)  # for methods that draw random numbers other than dropout
        for number in range(len(image)):
            alone = [torch.from_numpy(values[number : number + 1]) for values in (image, *noise)]
            draws = {one.layer: values for one, values in zip(job.network.noise, alone[1:], strict=True)}
            with feeding(method, draws):
                signed = translate_padded(method, signed_from_unit(alone[0]), direction=direction)
            made.append(unit_from_signed(signed))
    result: Floats = torch.cat(made).float().numpy()
    return result


@contextmanager
def feeding(method: nn.Module, draws: dict[str, Tensor]) -> Iterator[None]:
    """Replace the dropout layers of a method by layers with these random numbers, or remove them."""
    with ExitStack() as undo:
        for path, layer in list(method.named_modules()):
            if isinstance(layer, nn.Dropout):
                parent, _, name = path.rpartition(".")
                owner = method.get_submodule(parent)
                undo.callback(setattr, owner, name, layer)
                setattr(owner, name, GivenDropout(layer.p, Draw(draws[path])) if path in draws else nn.Identity())
        yield


def _timed(run: Callable[[], Floats]) -> tuple[Floats, float]:
    """Return the result and the seconds of the faster of two runs; the first run includes initialization."""
    seconds, result = [], None
    for _ in range(2):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    assert result is not None
    return result, min(seconds)
