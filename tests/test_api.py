"""Functions of `api`: their parameters are those of their configs, and they return objects."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import ganvas
from ganvas import api
from ganvas.cli import VERBS
from ganvas.errors import ConfigError
from ganvas.filesystem.paths import ACCEPTED
from ganvas.image.files import write_image
from ganvas.image.picture import Picture

FUNCTIONS = [name for name in api.CONFIGS if hasattr(api, name)]
"""All but those of the studio and of the catalog, which are above `api` and register when they are imported."""


def test_every_verb_but_train_has_a_config() -> None:
    assert api.CONFIGS.keys() | {"studio", "list_recipes"} == {name for name, _ in VERBS.values()} - {"train"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_parameters_of_its_config(name: str) -> None:
    function, config = getattr(api, name), api.CONFIGS[name]
    parameters = inspect.signature(function).parameters
    assert list(parameters) == [one.name for one in fields(config)]
    for one in fields(config):
        assert (parameters[one.name].kind is inspect.Parameter.KEYWORD_ONLY) == one.kw_only
    assert inspect.signature(function).return_annotation not in ("str", inspect.Signature.empty)
    assert function.__name__ == name
    assert config.__dataclass_params__.frozen


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_field_is_documented_in_the_config_and_in_the_function(name: str) -> None:
    config = api.CONFIGS[name]
    docs = api.field_docs(config)
    assert docs.keys() == {one.name for one in fields(config)}
    written = " ".join((inspect.getdoc(getattr(api, name)) or "").split())
    assert all(f"{field}: {text}" in written for field, text in docs.items())


def test_a_config_raises_before_anything_slow_is_imported() -> None:
    code = (
        "import sys, ganvas\n"
        "try:\n"
        "    ganvas.translate('run', 'photos', 'out', threads=0)\n"
        "except ganvas.GanvasError as error:\n"
        "    print(error)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert "threads 0 must be 1 or more" in told.stdout


def test_arguments_may_be_given_by_name_or_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("ganvas.inference.sampling.sample_files", seen.append)
    api.sample(Path("run"), Path("out"), count=2)
    api.sample(run=Path("run"), out=Path("out"), count=2)
    assert seen[0] == seen[1] == api.CONFIGS["sample"](Path("run"), Path("out"), count=2)


def test_locate_returns_findings_and_where_they_are(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png", Picture(np.full((32, 32, 3), 7, np.uint8)))
    found = ganvas.locate((tmp_path / "one.png",), out=tmp_path / "out")
    assert found.record == tmp_path / "out" / "locate.json"
    (photo,) = found.photos
    assert str(found) == f"{tmp_path / 'one.png'}: {photo['class']} {photo['score']:.3f}"
    with pytest.raises(ConfigError, match="the output folder is missing: pass --out FOLDER"):
        ganvas.locate((tmp_path / "one.png",))


def test_classes_are_listed_without_a_picture() -> None:
    listed = ganvas.locate(list_classes=True, classifier="nsfw")
    assert str(listed).splitlines() == list(listed.classes)
    assert (listed.record, listed.photos) == (None, ())


def test_prepare_returns_counts_and_the_manifest(tmp_path: Path) -> None:
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", Picture(pixels))
    prepared = ganvas.prepare(tmp_path / "photos", tmp_path / "out", val_fraction=0.25, test_fraction=0.25)
    assert prepared.counts == {"train": 2, "val": 1, "test": 1}
    assert str(prepared) == f"{tmp_path / 'out' / 'manifest.json'}: 2 train, 1 val, 1 test; 0 refused, 0 left out"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_accept_strings_for_paths(name: str) -> None:
    hints = get_type_hints(api.CONFIGS[name])
    paths = [parameter for parameter in hints if "Path" in str(hints[parameter])]
    parameters = inspect.signature(getattr(api, name)).parameters
    assert [parameters[path].annotation for path in paths] == [ACCEPTED[hints[path]] for path in paths]


@pytest.mark.parametrize(
    ("name", "strings", "paths"),
    [
        (
            "translate",
            {"run": "model.onnx", "source": "in", "out": "out", "mask": "masks"},
            {"run": Path("model.onnx"), "source": Path("in"), "out": Path("out"), "mask": Path("masks")},
        ),
        ("redact", {"source": "in", "out": "out"}, {"source": Path("in"), "out": Path("out")}),
        ("prepare", {"source": "in", "out": "out"}, {"source": Path("in"), "out": Path("out"), "boxes": None}),
        (
            "locate",
            {"photos": ("a.png", Path("b.png")), "out": "out"},
            {"photos": (Path("a.png"), Path("b.png")), "out": Path("out")},
        ),
        ("locate", {"photos": "a.png", "out": "out"}, {"photos": (Path("a.png"),)}),
        ("locate", {"photos": ["a.png"], "out": "out"}, {"photos": (Path("a.png"),)}),
        (
            "evaluate",
            {"run": "hf://user/name", "snapshot": "last"},
            {"run": Path("hf://user/name"), "snapshot": "last"},
        ),
    ],
)
def test_strings_become_paths(
    name: str, strings: dict[str, object], paths: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(config: object) -> None:
        seen.append(config)
        raise ConfigError("stop")

    seen: list[object] = []
    monkeypatch.setattr(api, "with_local_runs", stop)
    with pytest.raises(ConfigError, match="stop"):
        getattr(api, name)(**strings)
    assert {one: getattr(seen[0], one) for one in paths} == paths


def test_wrong_arguments_are_errors_that_name_the_function() -> None:
    with pytest.raises(TypeError, match=r"translate\(\): missing a required argument: 'source'"):
        api.translate("run")  # type: ignore[call-arg, arg-type]
    with pytest.raises(TypeError, match="list"):
        api.redact(["a.png"], "out")  # type: ignore[arg-type]


def test_strings_become_paths_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("ganvas.training.loop.train", lambda *given: seen.extend(given))
    for strings, paths in (
        (
            ganvas.PairedData(folder="d", split_file="s.json"),
            ganvas.PairedData(folder=Path("d"), split_file=Path("s.json")),
        ),
        (ganvas.UnpairedData(folder="d"), ganvas.UnpairedData(folder=Path("d"))),
        (ganvas.TrainingConfig(start_from="run"), ganvas.TrainingConfig(start_from=Path("run"))),
    ):
        assert strings == paths
    ganvas.train(ganvas.RunConfig(), "runs/x")
    assert seen == [ganvas.RunConfig(), Path("runs/x")]
