"""Types shared by the configs of methods; imports no torch, because the command line reads them."""

from dataclasses import dataclass
from typing import Any, Literal

from ganvas.errors import ConfigError

Norm = Literal["batch", "instance", "none"]
Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]
Variant = Literal["paper", "pytorch"]
ReceptiveField = Literal[1, 16, 34, 70, 142, 286]
Direction = Literal["a_to_b", "b_to_a"]
"""Direction of translation: from domain a, the input, to domain b, or back."""
Domain = Literal["a", "b"]
MOST_FRAMES = 15
"""Largest number of frames in a window: about half a second."""
OPPOSITE: dict[Direction, Direction] = {"a_to_b": "b_to_a", "b_to_a": "a_to_b"}


def check_frames(frames: int) -> None:
    """Raise ConfigError unless the number of frames in a window is odd and in range."""
    if frames < 1 or frames % 2 == 0 or frames > MOST_FRAMES:
        raise ConfigError(f"frames {frames} must be an odd number from 1 to {MOST_FRAMES}")


def check_not_negative(config: object, *names: str) -> None:
    """Raise ConfigError if one of the settings is negative."""
    for name in names:
        if (value := getattr(config, name)) < 0:
            raise ConfigError(f"{name} {value} must not be negative")


SHARED = ("rrdb", "compact", "nafnet")
"""Generators of community restoration models."""
RESTORATION = (*SHARED, "residual_unet")
"""Generators for restoration, without norms."""
ADD_THEIR_INPUT = ("compact", "nafnet", "residual_unet")
"""Generators that always add their input to their output."""
MOST_LEVELS = 6
"""Largest number of downsamplings of a NAFNet or a residual U-Net."""
MOST_BLOCKS = 1000
"""Largest total number of blocks of a NAFNet or a residual U-Net."""

_NORMED = ("norm", "dropout", "upsampling")
_LEVELS = ("encoder_blocks", "middle_blocks", "decoder_blocks", "unshuffle")
SETTINGS_OF: dict[str, tuple[str, ...]] = {
    "unet": ("depth", *_NORMED),
    "encoder_decoder": ("depth", *_NORMED),
    "resnet": ("residual_blocks", "halvings", "enhancers", "enhancer_blocks", *_NORMED),
    "srresnet": ("num_blocks", "norm", "residual_scale"),
    "rrdb": ("residual_blocks", "num_blocks", "growth", "unshuffle", "dense_skips"),
    "compact": ("residual_blocks", "num_blocks", "activation"),
    "nafnet": _LEVELS,
    "residual_unet": _LEVELS,
}
"""Generator -> the settings that some generators have and others lack."""


OF_DISCRIMINATORS = (
    "receptive_field", "objective", "gradient_penalty", "spectral", "discriminator_width", "discriminator_norm",
    "discriminator_scales",
)  # fmt: skip
"""Settings of discriminators."""
OF_LOSSES = ("dropout", "loss", "content", "perceptual", "residual_scale", "patches", "temperature", "pool_size")
"""Settings besides weights of losses that change neither the networks nor their shapes."""


def differing_settings(theirs: Any, own: Any) -> list[str]:
    """Return the settings on which the generators of two configs of a method depend and that differ."""
    special = {name for names in SETTINGS_OF.values() for name in names}
    used = set(SETTINGS_OF.get(getattr(theirs, "generator", ""), special))
    used &= set(SETTINGS_OF.get(getattr(own, "generator", ""), special))
    others = {*OF_DISCRIMINATORS, *OF_LOSSES, *(special - used)}
    names = [name for name in vars(own) if name not in others and not name.endswith("_weight")]
    pairs = [(name, getattr(theirs, name), getattr(own, name)) for name in names]
    return [f"{name} {there}, not {here}" for name, there, here in pairs if there != here]


def idle_settings(method: Any) -> dict[str, str]:
    """Return setting -> the choice that makes it have no effect, for the config of a method."""
    found: dict[str, str] = {}
    generator = getattr(method, "generator", None)
    if generator in SETTINGS_OF:
        others = {name for names in SETTINGS_OF.values() for name in names} - set(SETTINGS_OF[generator])
        found = dict.fromkeys(others, f"generator {generator}")
    if getattr(method, "adversarial_weight", 1.0) == 0:
        found |= dict.fromkeys(OF_DISCRIMINATORS, "adversarial_weight 0")
    elif hasattr(method, "receptive_field"):
        found.pop("norm", None)  # the discriminator has it too
    if getattr(method, "objective", "wasserstein") != "wasserstein":
        found.setdefault("gradient_penalty", f"objective {method.objective}")
    if getattr(method, "critic", "patch") == "global":
        found["receptive_field"] = "critic global"
    if None not in (getattr(method, "cycle_weight_a", None), getattr(method, "cycle_weight_b", None)):
        found["cycle_weight"] = "cycle_weight_a and cycle_weight_b"
    if getattr(method, "perceptual", "") == "none":
        found["perceptual_weight"] = "perceptual none"
    if getattr(method, "enhancers", 1) == 0:
        found.setdefault("enhancer_blocks", "enhancers 0")
    if generator in ADD_THEIR_INPUT:
        found["residual"] = f"generator {generator}, which always adds its input"
    return {name: reason for name, reason in found.items() if hasattr(method, name)}


@dataclass(frozen=True, kw_only=True)
class RestorationSizes:
    """Settings of the generators in `RESTORATION`, beside their width and number of blocks."""

    growth: int = 32
    """For `rrdb`: number of channels that each convolution of a dense block adds."""
    unshuffle: Literal[1, 2, 4] = 1
    """For `rrdb`, `nafnet` and `residual_unet`: factor of an initial pixel-unshuffle, which reduces the computation;
    Real-ESRGAN has 2 at scale 2 and 4 at scale 1."""
    dense_skips: bool = False
    """For `rrdb`: the additional skips of ESRGAN+ (arXiv:2001.08073)."""
    activation: Literal["prelu", "relu", "leaky_relu"] = "prelu"
    """For `compact`: the activation after each convolution."""
    encoder_blocks: tuple[int, ...] = (2, 2, 4, 8)
    """For `nafnet` and `residual_unet`: number of blocks at each size before downsampling."""
    middle_blocks: int = 12
    """For `nafnet` and `residual_unet`: number of blocks at the smallest size."""
    decoder_blocks: tuple[int, ...] = (2, 2, 2, 2)
    """For `nafnet` and `residual_unet`: number of blocks at each size after upsampling, from the smallest."""

    def __post_init__(self) -> None:
        if self.growth < 1:
            raise ConfigError("growth must be at least 1")
        if len(self.encoder_blocks) != len(self.decoder_blocks) or len(self.encoder_blocks) > MOST_LEVELS:
            raise ConfigError(
                f"encoder_blocks {self.encoder_blocks} and decoder_blocks {self.decoder_blocks} must have one number "
                f"for each size, equally many and at most {MOST_LEVELS}"
            )
        counts = (*self.encoder_blocks, self.middle_blocks, *self.decoder_blocks)
        if min(counts) < 0 or sum(counts) > MOST_BLOCKS:
            raise ConfigError(f"encoder_blocks, middle_blocks and decoder_blocks must sum to 0 to {MOST_BLOCKS}")
