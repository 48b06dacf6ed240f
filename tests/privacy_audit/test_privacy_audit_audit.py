"""Privacy audit from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hiding_support import audited_cover

from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import ConfigError, PartialFailure
from ganvas.image.files import read_image, read_label, write_image
from ganvas.image.picture import Picture
from ganvas.privacy_audit import AuditConfig
from ganvas.privacy_audit.attacks import AuditedCover
from ganvas.privacy_audit.audit import audit
from ganvas.privacy_audit.report import Audit


def run(folder: Path, out: Path, **changes: Any) -> Audit:
    given: dict[str, Any] = {"blocks": (8,), "sigmas": (2.0,), "size": 32, "steps": 5, "device": "cpu"}
    return audit(AuditConfig(folder, out=out, **(given | changes)), progress=False)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_attackers")
def test_the_page_the_record_and_the_grid(kinds: Path, tmp_path: Path) -> None:
    found = run(kinds, tmp_path / "out", style=("mosaic", "blur", "solid"))
    record = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert [cover["name"] for cover in record["covers"]] == ["mosaic, 8 blocks across", "blur, sigma 2", "solid"]
    assert record["pictures"] == {"train": 18, "test": 6}
    assert list(record["covers"][0]["recovered"]) == ["as covered", "bicubic", "Wiener"]
    assert list(record["covers"][2]["recovered"]) == ["as covered"]
    assert set(record["covers"][0]["named"]) == {"linear", "network"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in (
        "18",
        "Recognition of the kind",
        "Reconstruction by attacks",
        "By construction, only a solid cover preserves no pixel",
        "Wiener",
    ):
        assert words in page
    shown = [
        (cover.plan.style, name, way) for cover in found.covers for name, made in cover.shown.items() for way in made
    ]
    originals = sum(way == "original" for _, _, way in shown)
    assert page.count("data:image/jpeg") == 2 * len(shown) - originals  # all others have their difference image below
    assert found.exit_code == 0
    assert "Report:" in str(found)
    assert read_image(tmp_path / "out" / "grid.png").width > 4 * 96  # each of 32 pixels is enlarged three times
    assert read_label(tmp_path / "out" / "grid.png")


@pytest.mark.parametrize("attackers", ["quick_attackers", pytest.param("one_thread", marks=pytest.mark.slow)])
def test_colors_show_through_a_mosaic_and_not_through_a_solid_cover(
    kinds: Path, tmp_path: Path, request: pytest.FixtureRequest, attackers: str
) -> None:
    request.getfixturevalue(attackers)
    found = run(kinds, tmp_path / "out", style=("mosaic", "solid"), steps=20)
    mosaic, solid = found.covers
    assert mosaic.retrained == 6  # each kind has its own color
    assert solid.retrained <= 2
    assert "hides little" in found.verdict(mosaic)
    assert "undecided with 6 test pictures" in found.verdict(solid)
    assert found.conclusion().startswith("With 6 test pictures it is undecided what these hide: solid.")


@pytest.mark.slow
@pytest.mark.usefixtures("quick_attackers")
def test_a_restorer_is_trained_where_minutes_are_given(kinds: Path, tmp_path: Path) -> None:
    found = run(kinds, tmp_path / "out", minutes=0.001)
    assert list(found.covers[0].recovered) == ["as covered", "bicubic", "Wiener", "restorer"]
    assert (tmp_path / "out" / "restorers" / "mosaic-8-blocks-across" / "snapshots" / "last.safetensors").exists()
    assert all("restorer" in made for made in found.covers[0].shown.values())


@pytest.mark.slow
@pytest.mark.usefixtures("quick_attackers")
def test_what_the_gate_refuses_of_a_restorer_is_left_out_and_listed(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    found = run(kinds, folder, minutes=0.001)
    restored = {made["restorer"].picture.pixels.tobytes() for made in found.covers[0].shown.values()}
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9 * (rgb.tobytes() in restored))
    gate.forget_scorer()
    found = run(kinds, folder, minutes=0.001)
    (cover, *_) = found.covers
    assert cover.recovered["restorer"]["psnr"].count == 6 - len(restored)
    assert sum(name.endswith(", restorer") for name in cover.refused) == len(restored) == 4
    assert "restorer: Open NSFW scores it 0.900" in str(found)
    assert "Open NSFW scores it 0.900" in (folder / "report.html").read_text(encoding="utf-8")
    assert found.exit_code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("quick_attackers")
def test_other_pictures_need_another_folder(kinds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(kinds, out, minutes=0.001)
    state = out / "restorers" / "mosaic-8-blocks-across" / "state.safetensors"
    before, report = state.read_bytes(), (out / "audit.json").read_bytes()
    for path in (kinds / "leaf").iterdir():
        write_image(path, Picture(255 - read_image(path).pixels))
    for changes in ({}, {"minutes": 0.001}):
        with pytest.raises(ConfigError, match=r"out contains an audit of other pictures.*: use another --out"):
            run(kinds, out, **changes)
    assert state.read_bytes() == before
    assert (out / "audit.json").read_bytes() == report


@pytest.mark.slow
@pytest.mark.usefixtures("quick_attackers")
def test_the_same_pictures_go_on_with_their_restorers(kinds: Path, tmp_path: Path) -> None:
    run(kinds, tmp_path / "out", minutes=0.001)
    state = tmp_path / "out" / "restorers" / "mosaic-8-blocks-across" / "state.safetensors"
    before = state.read_bytes()
    run(kinds, tmp_path / "out", minutes=0.001, style=("mosaic", "solid"))
    assert state.read_bytes() == before
    with pytest.raises(ConfigError, match="another size or another split"):
        run(kinds, tmp_path / "out", seed=1)


@pytest.mark.usefixtures("quick_attackers")
def test_what_the_gate_refuses_is_not_shown(kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dislikes_mosaics(rgb: np.ndarray) -> float:
        alike = (rgb[:, 1:] == rgb[:, :-1]).mean()
        return 0.95 if alike > 0.3 else 0.0

    monkeypatch.setattr(gate, "load_scorer", lambda: dislikes_mosaics)
    gate.forget_scorer()
    found = run(kinds, tmp_path / "out")
    for made in found.covers[0].shown.values():
        assert "original" in made
        assert "as covered" not in made
    assert found.covers[0].recovered["as covered"]["psnr"].count == 6


@pytest.mark.usefixtures("quick_attackers")
def test_a_picture_that_cannot_be_read_is_listed(
    kinds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kinds / "leaf" / "broken.png").write_bytes(b"no picture")
    words = ["audit", str(kinds), "--out", str(tmp_path / "out"), "--style", "solid", "--size", "32", "--steps", "2"]
    assert main(words) == PartialFailure.exit_code
    assert "excluded: leaf/broken.png" in capsys.readouterr().out


def judged(*covers: AuditedCover, clear: int = 98, test: int = 100, chance: float = 0.1) -> Audit:
    counts = (3 * test, test)
    clean = {"linear": clear}
    return Audit(
        out=Path(), config={}, kinds=("a",) * 10, counts=counts, chance=chance, clean=clean, covers=list(covers)
    )


@pytest.mark.parametrize(
    ("right", "judgement"),
    [(95, "hides little"), (60, "hides in part"), (30, "hides most"), (13, "from these attackers")],
)
def test_verdicts(right: int, judgement: str) -> None:
    cover = audited_cover("mosaic", 8, right)
    found = judged(cover)
    assert judgement in found.verdict(cover)
    assert f"{right}\u00a0%" in found.verdict(cover)
    assert "2.0 dB nearer" in found.verdict(cover)
    assert found.at_chance(cover) == found.hides(cover) == (right == 13)


@pytest.mark.parametrize(("right", "test", "chance"), [(5, 8, 0.5), (3, 4, 0.5), (2, 2, 0.5), (2, 6, 1 / 3)])
def test_few_test_pictures_allow_no_verdict(right: int, test: int, chance: float) -> None:
    cover = audited_cover("mosaic", 8, right)
    found = judged(cover, clear=test, test=test, chance=chance)
    if found.clear_are_named:
        assert f"undecided with {test} test pictures" in found.verdict(cover)
        assert found.conclusion().startswith(f"With {test} test pictures it is undecided what these hide: mosaic 8.")
    for said in (found.verdict(cover), found.conclusion()):
        assert "hides the kind" not in said
        assert "left these attackers guessing" not in said
    assert not found.hides(cover)


def test_attackers_who_name_no_clear_pictures_judge_no_cover() -> None:
    covers = [audited_cover("mosaic", 8, 9), audited_cover("blur", 4, 40)]
    found = judged(*covers, clear=14)
    assert all("no verdict" in found.verdict(cover) for cover in covers)
    assert "no verdict on any cover can be given" in found.conclusion()
    assert [cover["hidden"] for cover in found.as_record()["covers"]] == [False, False]


def test_a_solid_cover_over_digits_hides_the_kind() -> None:
    """MNIST, 250 test pictures: 10 % recognized, 7 to 14 %."""
    solid = audited_cover("mosaic", 2, 25)
    assert "hides the kind from these attackers" in judged(solid, clear=245, test=250).verdict(solid)


def test_the_conclusion_claims_no_more_than_the_verdicts() -> None:
    held, shown, open_ = (audited_cover("blur", strength, right) for strength, right in ((8, 3), (1, 28), (4, 5)))
    assert judged(held, held).conclusion().startswith("Every cover that was tried left")
    assert judged(held, shown, test=30, clear=30).conclusion().startswith("Only blur 8 left these attackers guessing.")
    assert judged(shown).conclusion().startswith("No cover that was tried left")
    mixed = judged(held, shown, open_, test=30, clear=30)
    assert mixed.undecided(open_)
    assert mixed.conclusion().startswith(
        "blur 8 left these attackers guessing. With 30 test pictures it is undecided what these hide: blur 4."
    )
