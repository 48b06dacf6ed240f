"""What happens to pictures between the camera and the screen: blur, noise and compression, in an order of its own.

After Zhang et al. 2021, "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution",
arXiv:2103.14006: the same kinds of damage in random order, fewer variants of each.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganvas.data.filters import blur, reduce

__all__ = ["compress", "wear"]

BLUR = (0.2, 1.6)
"""Sigma in pixels of the picture as it is then."""
NOISE = (0.0, 10.0)
"""Deviation in grey levels of 255."""
QUALITY = (40, 95)
"""Of JPEG."""
DRAWS = 8
"""Numbers behind one picture's order and amounts."""


def wear(image: Tensor, factor: int, chance: float) -> Tensor:
    """(C, H, W) in [-1, 1] -> (C, H / factor, W / factor) in [-1, 1]: reduced, blurred, noisy, compressed.

    Args:
        image: H and W are multiples of `factor`.
        factor: of the antialiased bicubic reduction, which has its own place in the order.
        chance: in [0, 1): order and amounts follow from it.
    """
    generator = torch.Generator().manual_seed(int(chance * 2**32))  # it reads 32 bits
    drawn = torch.rand(DRAWS, generator=generator, dtype=torch.float64).tolist()
    steps: list[Callable[[Tensor], Tensor]] = [
        lambda images: reduce(images, factor),
        lambda images: blur(images, _between(BLUR, drawn[0])),
        lambda images: _noise(images, _between(NOISE, drawn[1]), generator),
        lambda images: compress(images, round(_between(QUALITY, drawn[2]))),
    ]
    for step in np.argsort(drawn[3:7]).tolist():
        image = steps[step](image[None])[0].clamp(-1, 1)
    return image


def compress(images: Tensor, quality: int) -> Tensor:
    """(N, C, H, W) in [-1, 1] through JPEG of that quality; three channels as colour, others one by one as grey."""
    levels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
    groups = levels if levels.shape[1] == 3 else levels.flatten(0, 1)[:, None]
    made = torch.stack([_through_jpeg(picture, quality) for picture in groups])
    return made.view(levels.shape).to(images) / 127.5 - 1


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    """(3 or 1, H, W) uint8."""
    pixels = picture.permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(file, "JPEG", quality=quality)
    again = np.asarray(Image.open(file))
    return torch.from_numpy(again.reshape(pixels.shape).copy()).permute(2, 0, 1)


def _noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Gaussian, in each sample of its own."""
    noise = torch.randn(images.shape, generator=generator, dtype=torch.float32).to(images)
    return images + 2 * deviation / 255 * noise


def _between(ends: tuple[float, float], uniform: float) -> float:
    return ends[0] + uniform * (ends[1] - ends[0])
