"""Second-order degradation: blur, resizing, noise and JPEG, twice, and a sinc filter, as photographs suffer it.

Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", arXiv:2107.10833,
Sec. 3 and 4.1. The kernels are in `ganvas.data.blur_kernels`. Images here are (C, H, W) float32 in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ganvas.data.blur_kernels import Kernel, Range, draw_kernel, draw_sinc_kernel

__all__ = [
    "FIRST",
    "LUMINANCE",
    "SECOND",
    "Noise",
    "SecondOrder",
    "Settings",
    "Stage",
    "degrade_second_order",
    "draw_second_order",
    "jpeg",
    "through_jpeg",
]

Unit = NDArray[np.float32]
"""An image, (C, H, W) in [0, 1]."""
Interpolation = Literal["area", "bilinear", "bicubic"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("area", "bilinear", "bicubic")
"""Nearest neighbor is left out, because it shifts the picture (Sec. 3.1)."""
GRAY_PROBABILITY = 0.4
"""Probability that the noise is the same in all channels."""
QUALITY = (30, 95)
"""Range of the JPEG quality, both times."""
FINAL_SINC_PROBABILITY = 0.8
PHOTONS = 256
"""Mean number of photons in a white pixel, for Poisson noise of scale 1; the released code takes the number of gray
levels of the picture, which is nearly always this."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Rec. ITU-R BT.601, as JPEG and Pillow weigh red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Ranges of one of the two degradations (Sec. 4.1).

    Attributes:
        blur: probability of a blur.
        deviations: of the blur kernels, in pixels.
        enlarge, shrink: probabilities of the two kinds of resizing; else the size stays.
        factors: smallest and largest factor of the resizing.
        gaussian: standard deviation of Gaussian noise, in gray levels of 255.
        poisson: scale of Poisson noise.
    """

    blur: float
    deviations: Range
    enlarge: float
    shrink: float
    factors: Range
    gaussian: Range
    poisson: Range


FIRST = Settings(
    blur=1.0, deviations=(0.2, 3.0), enlarge=0.2, shrink=0.7, factors=(0.15, 1.5), gaussian=(1.0, 30.0),
    poisson=(0.05, 3.0),
)  # fmt: skip
SECOND = Settings(
    blur=0.8, deviations=(0.2, 1.5), enlarge=0.3, shrink=0.4, factors=(0.3, 1.2), gaussian=(1.0, 25.0),
    poisson=(0.05, 2.5),
)  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """Kind and strength of noise.

    Attributes:
        kind: Gaussian, or Poisson, whose variance is proportional to the brightness.
        strength: standard deviation in gray levels of 255, or scale of the Poisson noise.
        is_gray: whether all channels get the same noise.
    """

    kind: Literal["gaussian", "poisson"]
    strength: float
    is_gray: bool


@dataclass(frozen=True)
class Stage:
    """Parameters of one of the two degradations.

    Attributes:
        kernel: of the blur; None where there is none.
        factor: of the resizing.
        interpolation: of the resizing.
        noise: added after the resizing.
        quality: of the JPEG compression.
    """

    kernel: Kernel | None
    factor: float
    interpolation: Interpolation
    noise: Noise
    quality: int


@dataclass(frozen=True)
class SecondOrder:
    """All parameters of a degradation.

    Attributes:
        first, second: the two degradations.
        sinc: the filter at the end; None where there is none.
        sinc_first: whether resizing to the final size and the sinc filter come before the last compression.
        interpolation: of the resizing to the final size.
    """

    first: Stage
    second: Stage
    sinc: Kernel | None
    sinc_first: bool
    interpolation: Interpolation


def degrade_second_order(image: Tensor, factor: int, chance: float, *, frame: int = 0) -> Tensor:
    """Degrade (C, H, W) twice: (C, H / factor, W / factor) in whole gray levels of 255, in [-1, 1].

    Args:
        image: in [-1, 1]; H and W are multiples of `factor`.
        factor: reduction along each side; 1 keeps the size.
        chance: in [0, 1), the seed of all parameters and of the noise.
        frame: place in a window of frames, which share the parameters but not the noise.
    """
    seed = int(chance * 2**53)
    degradation = draw_second_order(np.random.default_rng((seed, 0)))
    height, width = (side // factor for side in image.shape[-2:])
    unit = ((image.detach().cpu().numpy() + 1) / 2).astype(np.float32, copy=False)
    degraded = degrade(unit, degradation, (height, width), np.random.default_rng((seed, 1 + frame)))
    return torch.from_numpy(2 * degraded - 1).to(image)


def draw_second_order(random: np.random.Generator) -> SecondOrder:
    """Return random parameters."""
    return SecondOrder(
        first=_draw_stage(random, FIRST),
        second=_draw_stage(random, SECOND),
        sinc=draw_sinc_kernel(random) if random.random() < FINAL_SINC_PROBABILITY else None,
        sinc_first=random.random() < 0.5,
        interpolation=_draw_interpolation(random),
    )


def degrade(unit: Unit, degradation: SecondOrder, size: tuple[int, int], random: np.random.Generator) -> Unit:
    """Degrade an image to height and width `size`; `random` draws the noise. Returns whole gray levels of 255."""
    first, second = degradation.first, degradation.second
    # 1. The first degradation: its resizing is relative to the given size.
    unit = _apply(unit, first, unit.shape[-2:], random)
    unit = jpeg(unit, first.quality)
    # 2. The second: relative to the final size.
    unit = _apply(unit, second, size, random)
    # 3. Resizing to the final size with the sinc filter, and JPEG, in either order (Sec. 3.3).
    if not degradation.sinc_first:
        unit = jpeg(unit, second.quality)
    unit = _resized(unit, size, degradation.interpolation)
    unit = _filtered(unit, degradation.sinc)
    return jpeg(unit, second.quality) if degradation.sinc_first else _in_levels(unit)


def _draw_stage(random: np.random.Generator, settings: Settings) -> Stage:
    kernel = draw_kernel(random, settings.deviations) if random.random() < settings.blur else None
    kind, factor = random.random(), 1.0
    if kind < settings.enlarge:
        factor = random.uniform(1.0, settings.factors[1])
    elif kind < settings.enlarge + settings.shrink:
        factor = random.uniform(settings.factors[0], 1.0)
    interpolation = _draw_interpolation(random)
    is_gray = random.random() < GRAY_PROBABILITY
    if random.random() < 0.5:
        noise = Noise("gaussian", random.uniform(*settings.gaussian), is_gray)
    else:
        noise = Noise("poisson", random.uniform(*settings.poisson), is_gray)
    return Stage(kernel, factor, interpolation, noise, round(random.uniform(*QUALITY)))


def _draw_interpolation(random: np.random.Generator) -> Interpolation:
    return INTERPOLATIONS[int(random.integers(len(INTERPOLATIONS)))]


def _apply(unit: Unit, stage: Stage, base: tuple[int, ...], random: np.random.Generator) -> Unit:
    """Blur, resize to `factor` times `base`, rounded down, and add noise; clipped to [0, 1]."""
    unit = _filtered(unit, stage.kernel)
    height, width = (max(int(stage.factor * side), 1) for side in base)
    unit = _resized(unit, (height, width), stage.interpolation)
    return np.asarray((unit + _noise(unit, stage.noise, random)).clip(0, 1))


def _filtered(unit: Unit, kernel: Kernel | None) -> Unit:
    """Convolve with a symmetric kernel, borders reflected; by Fourier transforms, whose time no kernel changes."""
    from scipy import fft  # slow to import

    if kernel is None:
        return unit
    radius, (height, width) = len(kernel) // 2, unit.shape[-2:]
    padded = np.pad(unit, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    size = [fft.next_fast_len(side, real=True) for side in padded.shape[-2:]]
    spectrum = fft.rfft2(padded, size) * fft.rfft2(kernel.astype(np.float32), size)
    whole = fft.irfft2(spectrum, size)
    inside = whole[:, 2 * radius : 2 * radius + height, 2 * radius : 2 * radius + width]  # free of the wrap-around
    return np.ascontiguousarray(inside, dtype=np.float32)


def _resized(unit: Unit, size: tuple[int, int], interpolation: Interpolation) -> Unit:
    """Resize without antialiasing, as the released code does; bicubic interpolation may leave [0, 1]."""
    if unit.shape[-2:] == size:
        return unit
    images = torch.from_numpy(unit)[None]
    return functional.interpolate(images, size, mode=interpolation)[0].numpy()


def _noise(unit: Unit, noise: Noise, random: np.random.Generator) -> Unit:
    """Return noise to add, (C, H, W), or (1, H, W) for all channels alike."""
    alike = _luminance(unit) if noise.is_gray else unit
    if noise.kind == "gaussian":
        made: Unit = random.standard_normal(alike.shape, dtype=np.float32)
        made *= noise.strength / 255
        return made
    expected = _in_levels(alike)
    made = np.stack([random.poisson(channel * PHOTONS).astype(np.float32) for channel in expected])
    made /= PHOTONS
    made -= expected
    made *= noise.strength
    return made


def _luminance(unit: Unit) -> Unit:
    """Return the luminance of three channels, else the mean, (1, H, W)."""
    weights = np.array(LUMINANCE if len(unit) == 3 else [1 / len(unit)] * len(unit), np.float32)
    return np.asarray((weights[:, None, None] * unit).sum(0, keepdims=True), np.float32)


def jpeg(unit: Unit, quality: int) -> Unit:
    """Compress (C, H, W) as JPEG; returns whole gray levels of 255."""
    levels = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    unit = through_jpeg(levels, quality).astype(np.float32)
    unit /= 255
    return unit


def through_jpeg(levels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return (C, H, W) after JPEG compression; three channels as color, others one by one as gray."""
    pictures = [levels.transpose(1, 2, 0)] if len(levels) == 3 else list(levels)
    compressed = []
    for picture in pictures:
        file = BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=quality)
        compressed.append(np.asarray(Image.open(file)))
    return compressed[0].transpose(2, 0, 1) if len(levels) == 3 else np.stack(compressed)


def _in_levels(unit: Unit) -> Unit:
    levels: Unit = np.rint(unit.clip(0, 1) * 255)
    levels /= 255
    return levels
