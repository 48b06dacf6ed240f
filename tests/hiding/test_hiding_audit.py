"""An audit from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hiding_support import audited_cover

from ganvas import policy
from ganvas.cli import main
from ganvas.errors import PartialFailure
from ganvas.hiding.audit import audit
from ganvas.hiding.result import Audit
from ganvas.hiding.terms import Terms
from ganvas.image.files import read_image, read_label


def run(folder: Path, out: Path, **changes: Any) -> Audit:
    given: dict[str, Any] = {"blocks": (8,), "sigmas": (2.0,), "size": 32, "steps": 30, "device": "cpu"}
    return audit(folder, out, Terms(**(given | changes)), progress=False)


def test_the_page_the_record_and_the_grid(kinds: Path, tmp_path: Path) -> None:
    found = run(kinds, tmp_path / "out", styles=("mosaic", "blur", "solid"))
    record = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert [cover["name"] for cover in record["covers"]] == ["mosaic, 8 blocks across", "blur, sigma 2", "solid"]
    assert record["pictures"] == {"train": 18, "test": 6}
    assert list(record["covers"][0]["recovered"]) == ["as covered", "bicubic", "Wiener"]
    assert list(record["covers"][2]["recovered"]) == ["as covered"]
    assert set(record["covers"][0]["named"]) == {"linear", "network"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in (
        "18",
        "Who still names the kind",
        "What attacks recover",
        "Only a solid cover leaves nothing",
        "Wiener",
    ):
        assert words in page
    assert found.exit_code == 0
    assert "Report:" in str(found)
    assert read_image(tmp_path / "out" / "grid.png").width > 4 * 96  # thrice the 32 pixels of each
    assert read_label(tmp_path / "out" / "grid.png")


def test_colours_show_through_a_mosaic_and_not_through_a_solid_cover(kinds: Path, tmp_path: Path) -> None:
    found = run(kinds, tmp_path / "out", styles=("mosaic", "solid"))
    mosaic, solid = found.covers
    assert mosaic.retrained == 6  # each kind has a colour of its own
    assert solid.retrained <= 2
    assert "hides little" in found.verdict(mosaic)
    assert "guessing" in found.verdict(solid)
    assert found.conclusion().startswith("Only solid left")


def test_a_restorer_is_trained_where_minutes_are_given(kinds: Path, tmp_path: Path) -> None:
    found = run(kinds, tmp_path / "out", minutes=0.02)
    assert list(found.covers[0].recovered) == ["as covered", "bicubic", "Wiener", "restorer"]
    assert (tmp_path / "out" / "restorers" / "mosaic-8-blocks-across" / "snapshots" / "last.safetensors").exists()
    assert all("restorer" in made for made in found.covers[0].shown.values())


def test_what_the_gate_refuses_is_not_shown(kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dislikes_mosaics(rgb: np.ndarray) -> float:
        alike = (rgb[:, 1:] == rgb[:, :-1]).mean()
        return 0.95 if alike > 0.3 else 0.0

    monkeypatch.setattr(policy, "load_scorer", lambda: dislikes_mosaics)
    policy.forget_scorer()
    found = run(kinds, tmp_path / "out")
    for made in found.covers[0].shown.values():
        assert "original" in made
        assert "as covered" not in made
    assert found.covers[0].recovered["as covered"]["psnr"].count == 6


def test_a_picture_that_cannot_be_read_is_listed(
    kinds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kinds / "leaf" / "broken.png").write_bytes(b"no picture")
    words = ["audit", str(kinds), "--out", str(tmp_path / "out"), "--style", "solid", "--size", "32", "--steps", "2"]
    assert main(words) == PartialFailure.exit_code
    assert "left out: leaf/broken.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("right", "judgement"),
    [(95, "hides little"), (60, "hides in part"), (30, "hides most"), (13, "from these attackers")],
)
def test_verdicts(right: int, judgement: str) -> None:
    cover = audited_cover("mosaic", 8, right)
    found = Audit(
        out=Path(), terms={}, kinds=("a",) * 10, counts=(300, 100), chance=0.1, clean={"linear": 98}, covers=[cover]
    )
    assert judgement in found.verdict(cover)
    assert f"{right}\u00a0%" in found.verdict(cover)
    assert "2.0 dB nearer" in found.verdict(cover)
    assert found.at_chance(cover) == (right == 13)


def test_when_every_cover_holds_the_conclusion_says_so() -> None:
    covers = [audited_cover("mosaic", 8, 10), audited_cover("blur", 4, 9)]
    found = Audit(
        out=Path(), terms={}, kinds=("a",) * 10, counts=(300, 100), chance=0.1, clean={"linear": 98}, covers=covers
    )
    assert found.conclusion().startswith("Every cover that was tried")
