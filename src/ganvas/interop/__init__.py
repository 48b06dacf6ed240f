"""Import of checkpoints of other projects, and its config; imports no torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

from ganvas.errors import ConfigError


@dataclass(frozen=True)
class ImportConfig:
    """Import of models from other projects: ESRGAN, Compact, NAFNet, and the reference pix2pix, CycleGAN and CUT."""

    checkpoints: tuple[Path, ...]
    """A community model, .pth or .safetensors; or, in any order, latest_net_G.pth of a pix2pix, optionally with D;
    latest_net_G_A.pth and G_B of a CycleGAN, optionally with D_A and D_B; or a single discriminator."""
    _: KW_ONLY
    out: Path
    """Output folder: a run, or for a single discriminator its weights and discriminator.json."""
    scale: Literal[3] | None = None
    """3 for an ESRGAN of scale 3, which its file does not distinguish from scale 2; unset: 2."""
    activation: Literal["relu", "leaky_relu"] | None = None
    """Activation of a Compact without PReLU, which its file does not record."""
    dropout: float | None = None
    """Dropout of the generator, if its file does not determine it."""
    cycle_weight_a: float | None = None
    """lambda_A of the training of a CycleGAN, which the files do not record; unset: 10."""
    cycle_weight_b: float | None = None
    """lambda_B of the training of a CycleGAN, which the files do not record; unset: 10."""
    identity_weight: float | None = None
    """lambda_identity of the training of a CycleGAN, which the files do not record; unset: 0.5."""

    @property
    def cycle_weights(self) -> dict[str, Any]:
        """Return the set loss weights of a CycleGAN by name."""
        given = {name: getattr(self, name) for name in ("cycle_weight_a", "cycle_weight_b", "identity_weight")}
        return {name: weight for name, weight in given.items() if weight is not None}

    def check_alone(self, names: tuple[str, ...], kind: str) -> None:
        """Raise ConfigError if a setting does not apply to `kind`."""
        given = [name for name in names if getattr(self, name) is not None]
        if given:
            raise ConfigError(f"{', '.join(given)}: does not apply to {kind}; omit it")
