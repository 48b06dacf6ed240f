"""Conclusions of the demo, computed from its figures: which rendition is nearest to the originals, which to choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = {"mosaic": "the mosaic", "bicubic": "bicubic interpolation", "l1": "L1 alone", "l1_gan": "L1 + GAN"}
"""Rendition -> its name inside a sentence."""
MODELS = ("l1", "l1_gan")
"""The renditions that were learnt."""
Means = Mapping[str, Mapping[str, float]]
"""Rendition -> {"psnr" in dB, "ssim"}, means over the unseen photographs."""


@dataclass(frozen=True)
class Conclusion:
    """What the figures say.

    Attributes:
        recommended: the model with the higher mean PSNR.
        nearest: measure -> the rendition with the highest mean, models or not.
        sentences: the same in words.
    """

    recommended: str
    nearest: Mapping[str, str]
    sentences: tuple[str, ...]


def conclude(means: Means) -> Conclusion:
    """Return what the mean figures say; a tie goes to the rendition that was made with less effort."""
    recommended = _highest({name: means[name] for name in MODELS}, "psnr")
    nearest = {measure: _highest(means, measure) for measure in ("psnr", "ssim")}
    return Conclusion(recommended, nearest, (_nearest(means, nearest), _gain(means, recommended)))


def _highest(means: Means, measure: str) -> str:
    return max(means, key=lambda name: means[name][measure])


def _nearest(means: Means, nearest: Mapping[str, str]) -> str:
    by_psnr, by_ssim = nearest["psnr"], nearest["ssim"]
    psnr, ssim = f"{means[by_psnr]['psnr']:.2f} dB", f"{means[by_ssim]['ssim']:.3f}"
    if by_psnr == by_ssim:
        return f"Nearest to the originals by mean PSNR ({psnr}) and by mean SSIM ({ssim}): {NAMES[by_psnr]}."
    return (
        f"Nearest to the originals by mean PSNR: {NAMES[by_psnr]} ({psnr}). "
        f"By mean SSIM: {NAMES[by_ssim]} ({ssim}). The two measures disagree, so the difference is small."
    )


def _gain(means: Means, recommended: str) -> str:
    (other,) = (name for name in MODELS if name != recommended)
    psnr = {name: values["psnr"] for name, values in means.items()}
    lead = f"Of the two models, {NAMES[recommended]} is nearer by {psnr[recommended] - psnr[other]:.2f} dB"
    gain = psnr[recommended] - psnr["bicubic"]
    if gain > 0:
        return f"{lead}, and {gain:.2f} dB above bicubic interpolation, which learns nothing: the demo recommends it."
    return (
        f"{lead}, but it is {-gain:.2f} dB below bicubic interpolation, which learns nothing: this training was too "
        "short to be of use. Give it more time with --minutes."
    )
