"""Health checks of a training run, for a winning discriminator and mode collapse; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PATIENCE", "VALIDATIONS", "Health"]

ADVERSARIES = ("discriminator", "critic")
"""Words in the names of players that are discriminators."""
WON = 0.03
"""Total loss below which a discriminator is almost always right (log 2 / 2 to 1 is chance level)."""
PATIENCE = 20
"""Consecutive rows of metrics before a warning."""
ALIKE = 0.1
"""Spread below which outputs count as collapsed, as a share of the spread of the targets."""
VALIDATIONS = 3
"""Consecutive validations before a warning."""


class Health:
    """Health checks of a run, which warn once about a winning discriminator or mode collapse (docs/training.md)."""

    def __init__(self) -> None:
        self._won: dict[str, int] = {}
        self._alike = 0
        self._said: set[str] = set()

    def losses(self, means: Mapping[str, float]) -> list[str]:
        """Return the warnings after a row of losses with names `<player>/<loss>`."""
        warnings = []
        for player in {name.partition("/")[0] for name in means}:
            if not any(word in player for word in ADVERSARIES):
                continue
            loss = sum(value for name, value in means.items() if name.startswith(f"{player}/"))
            self._won[player] = self._won.get(player, 0) + 1 if 0 <= loss < WON else 0
            if self._won[player] == PATIENCE:
                warnings += self._once(
                    f"won/{player}",
                    f"The {player} has been separating real from generated pictures almost without error (loss "
                    f"{loss:.3f}, {PATIENCE} rows), so the generator learns little from it. If the previews stop "
                    "improving, use a weaker discriminator (discriminator_width, receptive_field), more data, or more "
                    "weight on L1 or the cycle.",
                )
        return warnings

    def validation(self, measures: Mapping[str, float]) -> list[str]:
        """Return the warnings after a validation."""
        self._alike = self._alike + 1 if measures.get("spread", 1.0) < ALIKE else 0
        if self._alike < VALIDATIONS:
            return []
        return self._once(
            "collapse",
            "The outputs hardly depend on the input (mode collapse). If this persists, look at the previews, lower "
            "learning_rate, increase the weight of L1 or of the cycle, and check that pairs, if any, belong together.",
        )

    def _once(self, key: str, text: str) -> list[str]:
        if key in self._said:
            return []
        self._said.add(key)
        return [text]
