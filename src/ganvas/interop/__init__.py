"""Checkpoints of other projects, and the config of their import. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True)
class ImportConfig:
    """Import of models from other projects: ESRGAN, Compact, NAFNet, and the reference pix2pix, CycleGAN and CUT."""

    checkpoints: tuple[Path, ...]
    """One model as people share it, .pth or .safetensors; or, in any order, latest_net_G.pth of a pix2pix, optionally
    with D; latest_net_G_A.pth and G_B of a CycleGAN, optionally with D_A and D_B; or a single discriminator."""
    _: KW_ONLY
    out: Path
    """Output folder: a run, or for a single discriminator its weights and discriminator.json."""
    scale: Literal[3] | None = None
    """3 for an ESRGAN whose only enlargement triples, which its file does not record; unset: it doubles."""
    activation: Literal["relu", "leaky_relu"] | None = None
    """Activation of a Compact without PReLU, which its file does not record."""
    dropout: float | None = None
    """Dropout of the generator, if its file does not determine it."""
    cycle_weight_a: float | None = None
    """lambda_A that a CycleGAN was trained with, which no file records; unset: 10."""
    cycle_weight_b: float | None = None
    """lambda_B likewise; unset: 10."""
    identity_weight: float | None = None
    """lambda_identity likewise; unset: 0.5."""

    @property
    def cycle_weights(self) -> dict[str, Any]:
        """Return the weights of a CycleGAN's losses that are given, by name."""
        given = {name: getattr(self, name) for name in ("cycle_weight_a", "cycle_weight_b", "identity_weight")}
        return {name: weight for name, weight in given.items() if weight is not None}

    def check_alone(self, names: tuple[str, ...], kind: str) -> None:
        """Raise ConfigError if a setting is given that does not apply to `kind`."""
        given = [name for name in names if getattr(self, name) is not None]
        if given:
            raise ConfigError(f"{', '.join(given)}: not for {kind}; leave it out")
