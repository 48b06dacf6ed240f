"""Checkpoints of other projects, and the config of their import. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ImportConfig:
    """Import of checkpoints of the reference PyTorch code."""

    checkpoints: tuple[Path, ...]
    """In any order, a pix2pix's latest_net_G.pth and, if wanted, D; or a CycleGAN's latest_net_G_A.pth and G_B and, if
    wanted, D_A and D_B; or one generator or one discriminator alone."""
    _: KW_ONLY
    out: Path
    """The folder to make: a run, or of a discriminator alone its weights and discriminator.json."""
    dropout: float | None = None
    """Dropout of the generator, where its file cannot tell."""
    cycle_weight_a: float | None = None
    """The lambda_A that a CycleGAN was trained with, which no file tells; unset: 10."""
    cycle_weight_b: float | None = None
    """Its lambda_B; unset: 10."""
    identity_weight: float | None = None
    """Its lambda_identity; unset: 0.5."""

    @property
    def cycle_weights(self) -> dict[str, Any]:
        """Return the weights of a CycleGAN's losses that are given, by name."""
        given = {name: getattr(self, name) for name in ("cycle_weight_a", "cycle_weight_b", "identity_weight")}
        return {name: weight for name, weight in given.items() if weight is not None}
