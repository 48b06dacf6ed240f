"""bfloat16 only where it is fast: otherwise an early error, or float32 with `auto`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ganvas
from ganvas import api
from ganvas.errors import ConfigError
from ganvas.hardware import device
from ganvas.hardware.device import bfloat16_obstacle, choose_device, choose_precision
from ganvas.image.files import write_image
from ganvas.image.picture import Picture
from ganvas.methods import Pix2PixConfig

CPU = torch.device("cpu")
REMEDY = "use --precision float32, or --precision auto"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: "no such instructions")


def pretend(monkeypatch: pytest.MonkeyPatch, *, native: bool, capability: str, onednn: bool, machine: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn, raising=False)
    monkeypatch.setattr("platform.machine", lambda: machine)
    for name in device.ISA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("machine", "native", "capability", "onednn", "fast"),
    [
        ("x86_64", True, "AVX512", True, True),
        ("x86_64", False, "AVX512", True, False),  # oneDNN reports support there, but emulates
        ("x86_64", True, "AVX2", True, False),
        ("AMD64", True, "AVX512", False, False),
        ("aarch64", False, "DEFAULT", True, True),
        ("aarch64", False, "DEFAULT", False, False),
    ],
)
def test_a_processor_is_fast_where_instructions_and_libraries_have_bfloat16(
    monkeypatch: pytest.MonkeyPatch, machine: str, native: bool, capability: str, onednn: bool, fast: bool
) -> None:
    pretend(monkeypatch, native=native, capability=capability, onednn=onednn, machine=machine)
    assert (bfloat16_obstacle(CPU) is None) == fast


@pytest.mark.parametrize(("limit", "fast"), [("AVX512_CORE", False), ("avx512_core_vnni", False), ("ALL", True)])
def test_a_limit_on_onednn_counts(monkeypatch: pytest.MonkeyPatch, limit: str, fast: bool) -> None:
    pretend(monkeypatch, native=True, capability="AVX512", onednn=True, machine="x86_64")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert (bfloat16_obstacle(CPU) is None) == fast


@pytest.mark.parametrize(("major", "chosen"), [(7, "float32"), (8, "bfloat16")])
def test_gpus_have_it_since_ampere(monkeypatch: pytest.MonkeyPatch, major: int, chosen: str) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Properties", (), {"major": major}))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    assert choose_precision("auto", torch.device("cuda")) == chosen
    if chosen == "float32":
        with pytest.raises(ConfigError, match="Some GPU has no bfloat16"):
            choose_precision("bfloat16", torch.device("cuda"))


def test_where_nothing_is_known_the_user_decides() -> None:
    mps = torch.device("mps")
    assert (choose_precision("bfloat16", mps), choose_precision("auto", mps)) == ("bfloat16", "float32")


def test_the_choice_follows_the_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: None)
    assert [choose_precision(name, CPU) for name in ("float32", "bfloat16", "auto")] == [
        "float32", "bfloat16", "bfloat16",
    ]  # fmt: skip
    monkeypatch.setattr(device, "bfloat16_obstacle", lambda device: "no such instructions")
    assert [choose_precision(name, CPU) for name in ("float32", "auto")] == ["float32", "float32"]
    with pytest.raises(ConfigError, match=REMEDY):
        choose_precision("bfloat16", CPU)


def calls(run: Path, photos: Path, out: Path) -> dict[str, Callable[[], object]]:
    data = ganvas.PairedData(folder=out / "nowhere")
    config = ganvas.RunConfig(
        method=Pix2PixConfig(), data=data, training=ganvas.TrainingConfig(precision="bfloat16", device="cpu")
    )
    return {
        "load": lambda: ganvas.load(run, device="cpu", precision="bfloat16"),
        "translate": lambda: ganvas.translate(run, photos, out, device="cpu", precision="bfloat16"),
        "sample": lambda: api.sample(run, out, device="cpu", precision="bfloat16"),
        "train": lambda: ganvas.train(config, out),
        "compare": lambda: ganvas.compare(
            data=photos, methods=("cyclegan",), out=out, minutes=1, device="cpu", precision="bfloat16"
        ),
    }


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("verb", ["load", "translate", "sample", "train", "compare"])
def test_every_call_refuses_slow_bfloat16_before_any_work(verb: str, tmp_path: Path) -> None:
    for name in ("trainA/1.png", "trainB/1.png"):
        write_image(tmp_path / "photos" / name, Picture(np.zeros((8, 8, 3), np.uint8)))
    write_image(tmp_path / "photos" / "1.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(ConfigError, match=REMEDY):
        calls(tmp_path / "run", tmp_path / "photos", tmp_path / "out")[verb]()
    assert not [path for path in tmp_path.glob("out/**/*") if path.is_file()]


SMALL_FLAGS = [
    "--width", "4", "--discriminator-width", "4", "--receptive-field", "16", "--load-size", "16", "16",
    "--crop-size", "16", "16",
]  # fmt: skip


@pytest.mark.slow
def test_a_processor_with_avx2_alone_says_so_and_goes_on_in_float32(tmp_path: Path) -> None:
    """The command itself, in a process limited to AVX2; then a run that was started in bfloat16."""
    forced = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    for name in ("a/1.png", "b/1.png"):
        write_image(tmp_path / "data" / "train" / name, Picture(np.full((16, 16, 3), 90, np.uint8)))
    script = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from ganvas.content_gate import gate\n"
        "from ganvas.cli import main\n"
        "gate.load_scorer = lambda: lambda rgb: 0.0\n"
        "torch.set_num_threads(1)\n"
        "train = ['train', 'pix2pix', '--data', 'data', '--out', 'run', '--epochs', '1', '--device', 'cpu']\n"
        f"train += {SMALL_FLAGS!r}\n"
        "codes = [main([*train, '--precision', 'bfloat16']), main([*train, '--precision', 'auto'])]\n"
        "record = Path('run/run.json')\n"
        "print('recorded', '\"precision\": \"float32\"' in record.read_text())\n"
        'record.write_text(record.read_text().replace(\'"precision": "float32"\', \'"precision": "bfloat16"\'))\n'
        "codes += [main(['resume', 'run', '--epochs', '2'])]\n"
        "codes += [main(['resume', 'run', '--epochs', '2', '--precision', 'float32'])]\n"
        "print(codes)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, **forced}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "recorded True" in done.stdout, done.stderr
    assert "[2, 0, 2, 0]" in done.stdout, done.stderr
    assert done.stderr.count(REMEDY) == 2
    assert "Traceback" not in done.stderr


def test_devices_by_name() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device 'cuda' is not available"):
            choose_device("cuda")


def test_cuda_is_the_gpu_of_the_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "99")
    with pytest.raises(ConfigError, match="device 'cuda:99' is not available"):
        choose_device("cuda")
