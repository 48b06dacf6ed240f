"""Command line: recorded flags, clear errors, and the exit codes of `ganvas.errors`."""

import ast
import importlib
import inspect
import io
import json
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ganvas import api, errors
from ganvas.cli import HOMES, VERBS, main, parse_train, remarks
from ganvas.content_gate import gate
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.recipes import RECIPES
from ganvas.training.config import RunConfig
from source_trees import tree_of

FLAGS = Path(__file__).parent / "golden" / "flags.txt"


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_the_flags_are_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    """Change a flag only on purpose: update tests/golden/flags.txt, and mention it in the changelog."""
    found = []
    for words in [[verb] for verb in VERBS if verb != "train"] + [["train", "pix2pix"], ["train", "cyclegan"]]:
        flags = sorted(set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", help_of(words, capsys))) - {"--help"})
        found.append(f"{' '.join(words)}: {' '.join(flags)}\n")
    assert "".join(found) == FLAGS.read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_of_every_recipe_has_a_help_text(recipe: str) -> None:
    """Settings of the method, inherited or its own, of the data, and of the training."""
    config = RECIPES[recipe]()
    for part in (config.method, config.data, config.training):
        assert api.field_docs(type(part)).keys() == {one.name for one in fields(part)}


def test_own_settings_stand_before_inherited_ones(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(["train", "srgan"], capsys)
    assert shown.index("--content ") < shown.index("--generator") < shown.index("--scale") < shown.index("--growth")
    assert "Upscaling factor along each side" in shown


def test_every_verb_is_a_function_with_a_docstring() -> None:
    for verb, (name, _) in VERBS.items():
        assert inspect.getdoc(getattr(importlib.import_module(HOMES.get(verb, "ganvas.api")), name))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_parses_and_can_be_changed(recipe: str) -> None:
    method = RECIPES[recipe]().method
    command = parse_train(recipe, ["--data", "photos", "--out", "run", "--epochs", "3", "--width", "48"])
    assert command.out == Path("run")
    assert command.config.data.folder == Path("photos")
    assert command.config.training.epochs == 3
    assert command.config.method == replace(method, width=48)
    assert type(command.config.data) is type(RECIPES[recipe]().data)


@pytest.mark.parametrize("verb", ["redact", "translate", "audit"])
def test_settings_of_films_stand_under_a_heading_of_their_own(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each field in a group of a config exists, is in one group only, and its flag is below the group's heading."""
    from ganvas import api

    config = api.CONFIGS[verb]
    listed = [name for names in config.GROUPS.values() for name in names]
    assert len(listed) == len({*listed})
    assert {*listed} <= {one.name for one in fields(config)}
    before, heading, films = help_of([verb], capsys).partition("film options")
    assert heading
    assert all(f"--{name.replace('_', '-')}" in films for name in config.GROUPS["film"])
    assert "--threads" in before


def test_a_recipe_has_the_flags_of_its_own_types(capsys: pytest.CaptureFixture[str]) -> None:
    pairs, sides = help_of(["train", "pix2pix"], capsys), help_of(["train", "cyclegan"], capsys)
    for flag, of_pairs in (
        ("--l1-weight", True),
        ("--layout", True),
        ("--cycle-weight", False),
        ("--pool-size", False),
    ):
        assert (flag in pairs) == of_pairs
        assert (flag in sides) != of_pairs


def test_a_cyclegan_from_pictures_to_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train on two folders, resume, and evaluate on pairs, which the training did not contain."""
    for name in ("trainA", "trainB", "pairs/test/a", "pairs/test/b"):
        for index in range(3):
            pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3)).astype(np.uint8)
            write_image(
                tmp_path / name / f"{index}.png", Picture(255 - pixels if name.lower().endswith("b") else pixels)
            )
    tiny = "--load-size 16 16 --crop-size 16 16 --width 4 --discriminator-width 4 --receptive-field 16 --device cpu"
    run, words = str(tmp_path / "run"), [*tiny.split(), "--residual-blocks", "1", "--epochs", "1"]
    assert main(["train", "cyclegan", "--data", str(tmp_path), "--out", run, *words]) == 0
    assert main(["resume", run, "--epochs", "2"]) == 0
    assert "done after 6 images" in capsys.readouterr().out
    assert main(["evaluate", run]) == 2
    assert "was trained on unpaired pictures" in capsys.readouterr().err
    for direction in ("a_to_b", "b_to_a"):
        out = tmp_path / direction
        words = ["--data", str(tmp_path / "pairs"), "--device", "cpu", "--out", str(out), "--direction", direction]
        assert main(["evaluate", run, *words]) == 0
        assert "PSNR" in capsys.readouterr().out
    there, back = ((tmp_path / name / "evaluation.json").read_text() for name in ("a_to_b", "b_to_a"))
    assert there != back


def test_pix2pix_on_unpaired_folders_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("trainA", "trainB"):
        write_image(tmp_path / name / "1.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    assert main(["train", "pix2pix", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "unpaired pictures in trainA and trainB" in capsys.readouterr().err


def test_help_without_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    assert main([]) == 2


def test_the_help_names_the_exit_code_of_every_error(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    told = set(map(int, re.findall(r"(\d+) +[a-z]", capsys.readouterr().out.partition("Exit codes:")[2])))
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert {0, 130} | codes <= told


BY_TYPES = {(type(config.method), type(config.data)): name for name, one in RECIPES.items() for config in [one()]}
"""One recipe for each type of method and data; such recipes have the same flags and help texts."""
REPOSITORY = re.compile(r"docs/|\.md\b|README|benchmarks/")


@pytest.mark.parametrize(
    "words", [*([verb] for verb in VERBS if verb != "train"), *(["train", one] for one in BY_TYPES.values())]
)
def test_help_points_at_no_file_of_the_repository(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Users who install a wheel do not have them."""
    assert not REPOSITORY.search(help_of(words, capsys))


def test_recipes_point_at_no_file_of_the_repository() -> None:
    assert [name for name, recipe in RECIPES.items() if REPOSITORY.search(recipe.__doc__ or "")] == []


def test_messages_point_at_no_file_of_the_repository() -> None:
    for path in sorted(Path(api.__file__).parents[1].rglob("*.py")):
        tree = tree_of(path)
        texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
                assert "docs/" not in node.value, f"{path.name}:{node.lineno}"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ganvas 0.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transalte", "a", "b", "c"], "did you mean 'translate'"),
        (["train", "facade", "--data", "x"], "unknown recipe 'facade'"),
        (["translate", "nowhere", __file__, "b.png"], "nowhere is not a run folder"),
        (["redact", "nowhere.png", "out"], "no region to cover"),
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
        (["resume", "nowhere"], "nowhere is not a run folder"),
        (["import", "nowhere.pth", "--out", "run"], "nowhere.pth"),
    ],
)
def test_bad_input_is_named_on_standard_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_a_refusal_is_json_and_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "photos" / "one.png", Picture(np.full((32, 32, 3), 7, np.uint8)))
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.95)
    gate.forget_scorer()
    assert main(["prepare", str(tmp_path / "photos"), str(tmp_path / "pairs")]) == 3
    record = json.loads(capsys.readouterr().out)
    assert record["refused"]
    assert "one.png" in record["reason"]
    assert not list(tmp_path.glob("pairs/**/*.png"))


def test_what_the_system_refuses_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "one.png", Picture(np.full((32, 32, 3), 7, np.uint8)))
    (tmp_path / "file").touch()
    assert main(["locate", str(tmp_path / "one.png"), "--out", str(tmp_path / "file")]) == 2
    shown = capsys.readouterr().err
    assert f"ganvas locate: {tmp_path / 'file'}: this name is taken; choose another one" in shown


def test_under_torchrun_one_process_tells_the_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(run: Path, **settings: object) -> str:
        return f"{run} measured"

    monkeypatch.setattr(api, "evaluate", measured)
    for rank, told in (("0", "run measured\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main(["evaluate", "run"]) == 0
        assert capsys.readouterr().out == told


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--epochs", "--learning-rate", "--l1-weight"])
def test_settings_that_are_no_number_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_train("facades", ["--out", "run", flag, "nan"])
    assert stop.value.code == 2
    assert "must be a finite number" in capsys.readouterr().err


def test_resume_takes_what_mends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunConfig] = []
    monkeypatch.setattr("ganvas.training.state.read_config", lambda run: RECIPES["facades"]())
    monkeypatch.setattr("ganvas.training.loop.train", lambda config, run, resume: asked.append(config))
    flags = ["--learning-rate", "1e-5", "--precision", "bfloat16", "--device", "cpu", "--data", "moved"]
    assert main(["resume", "run", *flags, "--epochs", "2"]) == 0
    before = RECIPES["facades"]()
    assert asked == [
        replace(
            before,
            training=replace(before.training, learning_rate=1e-5, precision="bfloat16", device="cpu", epochs=2.0),
            data=replace(before.data, folder=Path("moved")),
        )
    ]


def test_names_that_the_terminal_cannot_show_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("ganvas.cli._call", lambda verb, words: "blüte.png: zebra 0.9")
    assert main(["locate", "blüte.png"]) == 0
    terminal.flush()
    assert terminal.buffer.getvalue().splitlines() == [rb"bl\xfcte.png: zebra 0.9"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words",
    [
        ["translate", "run", "/dev/zero", "out"],
        ["redact", "/dev/zero", "out", "--mask", "m.png"],
        ["redact", "photos", "out", "--boxes", "/dev/zero"],
        ["redact", "photos", "out", "--mask=/dev/zero"],
        ["locate", "/dev/zero", "--out", "out"],
        ["prepare", "/dev/zero", "out"],
        ["evaluate", "/dev/zero"],
        ["train", "pix2pix", "--data", "d", "--out", "/dev/zero"],
    ],
)
def test_devices_are_refused_by_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "/dev/zero: a device, pipe or socket; pass a file or folder instead" in capsys.readouterr().err


WORDS = {
    "demo": [], "locate": ["photo.png", "--out", "out"], "prepare": ["photos", "pairs"], "resume": ["run"],
    "translate": ["run", "photos", "out"], "sample": ["run", "out"], "evaluate": ["run"],
    "compare": ["--data", "data", "--methods", "cut", "--out", "out", "--minutes", "1"],
    "benchmark": ["sr", "run", "--data", "data", "--out", "out"], "audit": ["folder", "--out", "out"],
    "redact": ["photos", "out"], "density": ["gan", "--out", "out"], "doctor": [],
    "export": ["run", "out"], "push": ["run", "user/name"], "studio": [],
}  # fmt: skip
"""Verb -> arguments with which it is parsed; the paths do not exist."""


def test_every_verb_that_computes_takes_threads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ganvas.training.state.read_config", lambda run: RECIPES["facades"]())
    assert set(WORDS) == set(VERBS) - {"import", "train", "recipes"}
    for verb, words in WORDS.items():
        assert main([verb, *words, "--threads", "0"]) == 2
        assert "threads 0 must be 1 or more" in capsys.readouterr().err, verb
    assert parse_train("facades", ["--out", "run", "--threads", "3"]).config.training.threads == 3


@pytest.mark.parametrize("words", [["--help"], pytest.param(["train"], marks=pytest.mark.slow), ["density", "--help"]])
def test_standard_output_may_be_gone_full_or_closed(words: list[str]) -> None:
    command = f"{shlex.quote(sys.executable)} -m ganvas {shlex.join(words)}"
    gone = subprocess.run(["bash", "-c", f"({command}; echo $? >&2) | true"], capture_output=True, text=True)
    assert gone.stderr == "0\n"
    closed = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True)
    assert full.returncode == 2
    assert "No space left on device" in full.stderr
    assert full.stderr.count("\n") == 1


def test_messages_that_cannot_be_printed_leave_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["nothing"]) == 2
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_a_link_to_itself_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "self").symlink_to("self")
    assert main(["locate", str(tmp_path / "self"), "--out", str(tmp_path / "out")]) == 2
    assert "self: a link to itself; pass its intended target" in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "usage"), [("export", "RUN OUT"), ("translate", "RUN SOURCE OUT")])
@pytest.mark.parametrize("words", [["--out", "there"], ["--out=there"]])
def test_out_without_a_flag_is_told(
    verb: str, usage: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "run", *words]) == 2
    assert f"OUT has no flag here: ganvas {verb} {usage}\n" in capsys.readouterr().err


def test_settings_without_effect_and_a_missing_first_stage_are_told() -> None:
    def told(recipe: str, *words: str) -> list[str]:
        return remarks(parse_train(recipe, ["--out", "run", *words]).config, RECIPES[recipe]())

    assert told("restore") == told("restore", "--generator", "unet", "--depth", "3") == []
    assert told("restore", "--depth", "3") == ["--depth has no effect with generator residual_unet"]
    assert told("restore", "--receptive-field", "16") == ["--receptive-field has no effect with adversarial_weight 0"]
    assert told("pix2pix_hd", "--enhancer-blocks", "2") == ["--enhancer-blocks has no effect with enhancers 0"]
    assert told("restore", "--residual") == [
        "--residual has no effect with generator residual_unet, which always adds its input"
    ]
    assert told("pix2pix", "--strength", "4", "4", "--constant-fraction", "1", "--decay", "tenth") == [
        "--strength has no effect with degrade none",
        "--decay has no effect with constant_fraction 1",
    ]
    assert told("restore", "--resize", "none", "--load-size", "300", "300", "--optimizer", "rmsprop") == [
        "--load-size has no effect with resize none"
    ]
    assert told("restore", "--optimizer", "rmsprop", "--betas", "0.9", "0.99") == [
        "--betas has no effect with optimizer rmsprop"
    ]
    assert told("real_restoration", "--start-from", "run") == []
    (remark,) = told("real_restoration")
    assert "real_restoration_l1: give --start-from RUN" in remark
