"""Planned covers of a privacy audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.errors import ConfigError
from ganvas.image.cover import gaussian_blur, mosaic
from ganvas.privacy_audit import AuditConfig
from ganvas.privacy_audit.album import plan_covers


def test_each_style_from_the_weakest_on() -> None:
    covers = plan_covers(("blur", "mosaic", "solid"), blocks=(4, 16), sigmas=(8.0, 2.0), size=64)
    assert [one.name for one in covers] == [
        "blur, sigma 2", "blur, sigma 8", "mosaic, 16 blocks across", "mosaic, 4 blocks across", "solid"
    ]  # fmt: skip
    assert [one.degradation for one in covers] == [
        ("blur", 2.0),
        ("blur", 8.0),
        ("mosaic", 4.0),
        ("mosaic", 16.0),
        None,
    ]


def test_a_cover_is_what_redaction_makes(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    coarse, soft, solid = plan_covers(("mosaic", "blur", "solid"), blocks=(5,), sigmas=(3.0,), size=32)
    assert np.array_equal(coarse.apply(image), mosaic(image, 7))  # 32 / 5, rounded up
    assert np.array_equal(soft.apply(image), gaussian_blur(image, 3.0))
    assert not solid.apply(image).any()


@pytest.mark.parametrize(
    ("styles", "blocks", "sigmas", "message"),
    [
        ((), (8,), (2.0,), "one or more distinct styles"),
        (("mosaic", "mosaic"), (8,), (2.0,), "distinct styles"),
        (("mosaic",), (), (2.0,), "mosaic: pass strengths"),
        (("blur",), (8,), (), "blur: pass strengths"),
        (("mosaic",), (17,), (), "17 blocks across 32 pixels: expected 1 to 16"),
        (("mosaic",), (0,), (), "0 blocks"),
    ],
)
def test_what_cannot_be_planned(styles: Any, blocks: Any, sigmas: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_covers(styles, blocks=blocks, sigmas=sigmas, size=32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "multiple of 16"),
        ({"minutes": -1}, "minutes"),
        ({"steps": 0}, "steps"),
        ({"sigmas": (0.0,)}, "sigmas"),
    ],
)
def test_terms_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AuditConfig(Path("kinds"), out=Path("out"), **changes)
