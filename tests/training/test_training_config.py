"""Training settings: errors for values out of range."""

from __future__ import annotations

import pytest

from ganvas.errors import ConfigError
from ganvas.training.config import TrainingConfig


@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.5, -0.1)])
def test_betas_out_of_range(betas: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"betas .* must lie in \[0, 1\)"):
        TrainingConfig(betas=betas)
