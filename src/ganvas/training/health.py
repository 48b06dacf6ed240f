"""Warnings in plain words about how a run goes: each is said once. docs/training.md says more."""

from __future__ import annotations

from collections.abc import Mapping

ADVERSARIES = ("discriminator", "critic", "judge")
"""A player with such a word in its name judges."""
WON = 0.03
"""A judge whose whole loss lies under this tells real from made almost without error (log 2 / 2 to 1 is a draw)."""
PATIENCE = 20
"""Rows of metrics in a row."""
ALIKE = 0.1
"""Outputs that differ less than this share of what the targets do."""
VALIDATIONS = 3
"""In a row."""


class Health:
    """Watches the rows of metrics."""

    def __init__(self) -> None:
        self._won: dict[str, int] = {}
        self._alike = 0
        self._said: set[str] = set()

    def losses(self, means: Mapping[str, float]) -> list[str]:
        """What to say after a row of losses, named `<player>/<loss>`."""
        warnings = []
        for player in {name.partition("/")[0] for name in means}:
            if not any(word in player for word in ADVERSARIES):
                continue
            loss = sum(value for name, value in means.items() if name.startswith(f"{player}/"))
            self._won[player] = self._won.get(player, 0) + 1 if 0 <= loss < WON else 0
            if self._won[player] == PATIENCE:
                warnings += self._once(
                    f"won/{player}",
                    f"The {player} has been telling real from made pictures almost without error (loss {loss:.3f}, "
                    f"{PATIENCE} rows), so the generator learns little from it. If the samples stop improving: a "
                    "weaker discriminator (discriminator_width, receptive_field), more data, or more weight on L1 or "
                    "the cycle.",
                )
        return warnings

    def validation(self, measures: Mapping[str, float]) -> list[str]:
        """What to say after a validation."""
        self._alike = self._alike + 1 if measures.get("spread", 1.0) < ALIKE else 0
        if self._alike < VALIDATIONS:
            return []
        return self._once(
            "collapse",
            "The outputs look almost alike whatever the input is (collapse). If that stays: "
            "look at the samples, lower learning_rate, give L1 or the cycle more weight, and check that the pairs, if "
            "there are pairs, belong together.",
        )

    def _once(self, key: str, text: str) -> list[str]:
        if key in self._said:
            return []
        self._said.add(key)
        return [text]
