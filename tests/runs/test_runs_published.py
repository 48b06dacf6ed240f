"""Published runs: everything that reads a run accepts them, and damage is reported."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from inference_runs import tiny_record, write_tiny_run
from published_runs import write_published

import ganvas
from ganvas import api
from ganvas.data.config import PairedData
from ganvas.errors import ConfigError, InputError, RunError
from ganvas.inference.translator import Translator
from ganvas.interop.import_checkpoints import check_unused
from ganvas.runs.published import UNPUBLISHED, record_path, run_name
from ganvas.runs.record import find_snapshot, load_generators, read_run_record
from ganvas.serialization import to_record


def test_a_published_run_is_read_like_a_run(tmp_path: Path) -> None:
    run, published = write_tiny_run(tmp_path / "run"), write_published(tmp_path / "published")
    assert replace_times(read_run_record(published)) == replace_times(read_run_record(run))
    assert find_snapshot(published) == find_snapshot(published, "last") == published / "model.safetensors"
    own, others = load_generators(run).state_dict(), load_generators(published).state_dict()
    generators = [key for key in own if key.startswith("generator.")]
    assert generators
    assert all(torch.equal(own[key], others[key]) for key in generators)


def replace_times(record: object) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name != "created"}


def test_its_outputs_are_labeled_with_the_name_it_was_published_under(tmp_path: Path) -> None:
    published = write_published(tmp_path / "cache" / "0123abcd")
    assert run_name(published) == "tiny"
    pictures = tmp_path / "in"
    ganvas.write_image(pictures / "one.png", ganvas.Picture(np.full((16, 16, 3), 99, np.uint8)))
    api.translate(published, pictures / "one.png", tmp_path / "one.png")
    api.translate(write_tiny_run(tmp_path / "tiny"), pictures / "one.png", tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_training_run_takes_precedence_over_a_config_beside_it(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run")
    (run / "config.json").write_text("{}")
    assert record_path(run) == run / "run.json"
    load_generators(run)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "another library"),
        ('{"model_type": "bert"}', "another library"),
        ('{"library_name": "ganvas", "format": 2}', "format 2"),
        ('{"library_name": "ganvas", "format": 1, "odd": 1}', "unknown key odd"),
    ],
)
def test_a_config_of_something_else_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=f"config.json.*{message}") as raised:
        Translator.load(tmp_path)
    assert str(raised.value).count("config.json") == 1


def test_a_record_of_another_version_is_named(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published")
    config = json.loads((published / "config.json").read_text())
    config["run"]["version"] = 99
    (published / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config\.json has record version 99"):
        read_run_record(published)


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a\\b", "C:x", "a\nb", " "])
def test_a_name_that_leads_out_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Exports are named after the run, and the file may come from anybody."""
    published = write_published(tmp_path / "published")
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"name": name}))
    with pytest.raises(RunError, match=r"config\.json: .*not a folder name"):
        Translator.load(published)


def test_damaged_weights_are_never_used(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published")
    weights = (published / "model.safetensors").read_bytes()
    for content in (weights[:-1], weights[:-1] + bytes([weights[-1] ^ 1]), b""):
        (published / "model.safetensors").write_bytes(content)
        with pytest.raises(RunError, match=r"model\.safetensors has SHA-256 .* damaged"):
            load_generators(published)
    (published / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"lacks model\.safetensors"):
        load_generators(published)


def test_a_published_run_has_one_snapshot(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="published only with 'last'"):
        Translator.load(write_published(tmp_path / "published"), snapshot="best")


def test_nothing_is_written_into_a_published_run(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published")
    with pytest.raises(RunError, match=r"already contains a config\.json"):
        check_unused(published)
    with pytest.raises(RunError, match="without its training state"):
        api.resume(published)
    pairs = tmp_path / "pairs"
    for side in ("a", "b"):
        picture = ganvas.Picture(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8))
        ganvas.write_image(pairs / "test" / side / "0.png", picture)
    with pytest.raises(ConfigError, match="--out"):
        ganvas.evaluate(published, data=pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ganvas.evaluate(published, data=pairs, out=tmp_path / "report").run == "tiny"
    assert sorted(path.name for path in published.iterdir()) == ["config.json", "model.safetensors"]


def test_a_published_run_does_not_claim_to_know_its_data(tmp_path: Path) -> None:
    data = PairedData(folder=UNPUBLISHED, load_size=(32, 32), crop_size=(32, 32))
    published = write_published(tmp_path / "published", run=to_record(tiny_record(data=data)))
    with pytest.raises(InputError, match="--data"):
        ganvas.evaluate(published, out=tmp_path / "report")
