"""Checkpoints of other projects, and the config of their import. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ImportConfig:
    """Import of checkpoints of the reference PyTorch code."""

    checkpoints: tuple[Path, ...]
    """In any order: latest_net_G.pth of a pix2pix, optionally with D; latest_net_G_A.pth and G_B of a CycleGAN,
    optionally with D_A and D_B; or a single generator or discriminator."""
    _: KW_ONLY
    out: Path
    """Output folder: a run, or for a single discriminator its weights and discriminator.json."""
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
