"""Model cards: complete, valid for the Hub, and without information about the training machine."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inference_runs import FIVE_DEEP, tiny_method, tiny_record

from ganvas.data.config import PairedData, UnpairedData
from ganvas.interop.export.model_card import Card, Measured, model_card, read_measured, training_data
from ganvas.methods import SRResNetConfig, VAEConfig
from ganvas.runs.published import PublishedRun
from ganvas.runs.record import RunRecord

MEASURED = Measured(split="test", pictures=7, output={"psnr": 21.5, "ssim": 0.75}, baseline={"psnr": 18.25})


def card(record: RunRecord | None = None, **changes: Any) -> Card:
    record = record or tiny_record()
    published = PublishedRun(
        name="flowers", snapshot="best", images_seen=400, weights_sha256="0" * 64, license="CC-BY-4.0", run={}
    )
    facts: dict[str, Any] = {"title": "flowers", "address": "hf://user/flowers", "published": published}
    return Card(record=record, method=tiny_method(record), **facts | changes)


def read_by_the_hub(text: str) -> Any:
    return pytest.importorskip("huggingface_hub").ModelCard(text).data


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = read_by_the_hub(model_card(card(measured=MEASURED)))
    assert (data.library_name, data.pipeline_tag, data.license) == ("ganvas", "image-to-image", "cc-by-4.0")
    assert {"ganvas", "image-to-image", "gan", "pix2pix"} <= set(data.tags)
    assert {(result.metric_type, result.metric_value) for result in data.eval_results} == {
        ("psnr", 21.5),
        ("ssim", 0.75),
    }
    assert {result.task_type for result in data.eval_results} == {"image-to-image"}
    assert data.model_name == "flowers"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, ("other", "not-stated")),
        ("MIT", ("mit", None)),
        ("Our own license, version 2", ("other", "our-own-license-version-2")),
        ('"quoted": {a: [b]} # c', ("other", "quoted-a-b-c")),
        ("自由に", ("other", "custom")),
        ("yes", ("other", "yes")),
        ("long " * 40, ("other", "-".join(["long"] * 12))),
    ],
)
def test_licenses_are_identifiers_or_names(given: str | None, wanted: tuple[str, str | None]) -> None:
    told = card()
    data = read_by_the_hub(model_card(replace(told, published=replace(told.published, license=given))))
    assert (data.license, data.license_name) == wanted


def test_markup_in_a_license_is_shown_as_it_is() -> None:
    told = card()
    published = replace(told.published, license="<script>x</script> [a](b) | `c`")
    text = model_card(replace(told, published=published))
    assert r"licensed as \<script\>x\</script\> \[a\](b) \| \`c\`." in text


@pytest.mark.parametrize("title", ['a "quoted": name', "schön - ☃", "- list", "{x: 1}", "yes"])
def test_odd_titles_are_quoted(title: str) -> None:
    data = read_by_the_hub(model_card(card(title=title, measured=MEASURED)))
    assert data.model_name == title


def test_nothing_is_left_to_fill_in() -> None:
    full = tiny_record(
        data=PairedData(folder=Path("/home/jane/secret/photos"), layout="single", degrade="mosaic"),
        training={"epochs": 3.0, "batch_size": 1, "start_from": "/home/jane/runs/first"},
    )
    pairs = [("examples/1-input.png", "examples/1-translation.png")]
    for told in (card(), card(full, measured=MEASURED, examples=pairs)):
        text = model_card(told)
        assert "More Information" not in text
        assert not re.search(r"\b(None|nan|TODO)\b", text)
        for section in (
            "Use", "Input and output", "Intended use", "Out-of-scope use", "Training data", "Training", "Evaluation",
            "Limitations", "Content gate", "License",
        ):  # fmt: skip
            assert re.search(rf"^## {section}\n\n\S", text, flags=re.MULTILINE), section
        assert "synthetic" in text
        assert 'ganvas.load("hf://user/flowers")' in text
        assert "jane" not in text
        assert "/home" not in text
    assert "(examples/1-input.png)" in model_card(card(examples=pairs))
    assert "## Examples" not in model_card(card())


def test_figures_are_those_of_the_evaluation() -> None:
    text = model_card(card(measured=MEASURED))
    assert "| PSNR (dB) | 21.5 | 18.25 |" in text
    assert "| SSIM | 0.75 | - |" in text
    assert "model-index" not in model_card(card())


def test_other_kinds_of_runs_are_described() -> None:
    enlarging = tiny_record(SRResNetConfig(width=4, num_blocks=1, scale=4))
    text = model_card(card(enlarging))
    assert "enlarging it 4 times" in text
    assert "super-resolution" in read_by_the_hub(text).tags
    assert "A SRResNet generator" in text
    compact = tiny_record(SRResNetConfig(width=4, num_blocks=1, scale=2, generator="compact"))
    assert "| generator | compact |" in model_card(card(compact))
    assert "| generator |" not in model_card(card(tiny_record(VAEConfig(width=2, latent_size=4))))
    assert "5 channels, uint16, values 0 to 65535" in model_card(card(tiny_record(input=FIVE_DEEP)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "imported from a checkpoint"),
        (PairedData(), "Pairs of pictures"),
        (PairedData(layout="single", degrade="mosaic", strength=(4, 16)), "`mosaic`, strength 4 to 16"),
        (UnpairedData(), "do not correspond"),
        (UnpairedData(mirror=False, resize="none"), "crops of 256x256 pixels (height x width)."),
        (UnpairedData(load_size=(286, 400)), "(height x width) of pictures resized to 286x400, half of them"),
        (
            UnpairedData(mirror=False, resize="shorter_side", load_size=(400, 286)),
            "crops of 256x256 pixels (height x width) of pictures whose shorter side was resized to 286 pixels.",
        ),
    ],
)
def test_training_data_are_told_in_words(data: PairedData | UnpairedData | None, words: str) -> None:
    assert words in training_data(tiny_record(data=data))


def write_report(run: Path, split: str = "test", **changes: Any) -> None:
    report = {
        "snapshot": "best", "images_seen": 400, "direction": "a_to_b", "split": split, "data": "jane",
        "output": {"psnr": {"mean": 20.0, "deviation": 1.0, "count": 2}, "l1": {"mean": None, "count": 0}},
        "baseline": None, "pictures": [{"name": "jane.png"}] * 2,
    }  # fmt: skip
    (run / "evaluation" / split).mkdir(parents=True, exist_ok=True)
    (run / "evaluation" / split / "evaluation.json").write_text(json.dumps(report | changes))


ASKED = {"snapshot": "best", "images_seen": 400, "direction": "a_to_b"}


def test_the_evaluation_of_the_same_weights_is_found(tmp_path: Path) -> None:
    assert read_measured(tmp_path, **ASKED) is None
    write_report(tmp_path, "val")
    write_report(tmp_path, "test")
    found = read_measured(tmp_path, **ASKED)
    assert found == Measured(split="test", pictures=2, output={"psnr": 20.0}, baseline={})


@pytest.mark.parametrize(
    "change", [{"snapshot": "last"}, {"images_seen": 300}, {"direction": "b_to_a"}, {"output": None}, {"output": {}}]
)
def test_figures_of_other_weights_are_not_shown(tmp_path: Path, change: dict[str, Any]) -> None:
    write_report(tmp_path, **change)
    assert read_measured(tmp_path, **ASKED) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"snapshot": "best"}'])
def test_a_damaged_report_is_as_none(tmp_path: Path, content: str) -> None:
    write_report(tmp_path)
    (tmp_path / "evaluation" / "test" / "evaluation.json").write_text(content)
    assert read_measured(tmp_path, **ASKED) is None
