"""Inputs, commands and checks for fault injection (benchmarks/faults.py)."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import GanvasError
from ganvas.image.files import IMAGE_SUFFIXES, read_image, write_image
from ganvas.image.picture import Picture, PictureSpec
from ganvas.methods import Pix2PixConfig, VAEConfig
from ganvas.methods.base import build, methods
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

SIDE = 32
OWN_HIDDEN = {".prepare.jsonl", ".sample.json", ".unsaved", ".ganvas-demo", ".ganvas.lock"}
"""Hidden files that may remain in a folder between two runs of a command."""


def picture(seed: int, side: int = SIDE) -> Picture:
    """Return a picture of smooth spots and some noise."""
    draw = np.random.default_rng(seed)
    coarse = np.repeat(np.repeat(draw.integers(0, 230, (4, 4, 3)), side // 4, axis=0), side // 4, axis=1)
    return Picture((coarse + draw.integers(0, 25, coarse.shape)).astype(np.uint8))


@dataclass(frozen=True)
class Lab:
    """Folder with the inputs of every verb."""

    home: Path

    @property
    def originals(self) -> Path:
        """Return the folder with all inputs of the commands."""
        return self.home / "originals"

    def make(self) -> None:
        """Write photographs, pairs, runs and checkpoints."""
        home = self.originals
        for number in range(8):
            write_image(home / "photos" / f"{number}{'.png' if number % 2 else '.jpg'}", picture(number))
            write_image(home / "kinds" / ("dark" if number % 2 else "light") / f"{number}.png", picture(number))
        write_image(home / "photos" / "more" / "1.png", picture(9))
        names = [path.relative_to(home / "photos").as_posix() for path in (home / "photos").rglob("*.*")]
        (home / "boxes.json").write_text(json.dumps({name: [[4, 4, 20, 20]] for name in names}))
        for split in ("train", "val", "test"):
            for number in range(4):
                one = picture(number)
                write_image(home / "pairs" / split / "a" / f"{number}.png", Picture(255 - one.pixels))
                write_image(home / "pairs" / split / "b" / f"{number}.png", one)
        write_image(home / "sets" / "few" / "0.png", picture(0, 64))
        _write_run(home / "run", Pix2PixConfig(width=4, depth=2, dropout=0.0, norm="none", adversarial_weight=0.0))
        _write_run(home / "draws", VAEConfig(width=2, latent_size=4))
        torch.save(_discriminator(), home / "latest_net_D.pth")

    def commands(self) -> dict[str, Callable[[Path], list[str]]]:
        """Return verb -> arguments of a command that writes into a folder."""
        home = self.originals
        tiny = ["--width", "2", "--discriminator-width", "2", "--depth", "2", "--receptive-field", "16", "--batch-size"]
        pairs = ["--data", f"{home}/pairs", "--load-size", "32", "32", "--crop-size", "32", "32", "--device", "cpu"]
        compared = ["--data", f"{home}/pairs", "--methods", "pix2pix", "--width", "2", "--epochs", "1", "--crop-size"]
        compared += ["32", "32", "--batch-size", "4", "--device", "cpu"]
        often = ["--checkpoint-every", "4", "--validate-every", "4", "--sample-every", "4", "--epochs", "4"]
        return {
            "translate": lambda out: [f"{home}/run", f"{home}/photos", f"{out}", "--recursive", "--device", "cpu"],
            "redact": lambda out: [f"{home}/photos", f"{out}", "--boxes", f"{home}/boxes.json"],
            "prepare": lambda out: [f"{home}/photos", f"{out}", "--strength", "4", "4"],
            "locate": lambda out: [f"{home}/photos", "--out", f"{out}"],
            "sample": lambda out: [f"{home}/draws", f"{out}", "--count", "12", "--device", "cpu"],
            "train": lambda out: ["pix2pix", "--out", f"{out}", *pairs, *often, *tiny, "2"],
            "evaluate": lambda out: [f"{home}/run", "--data", f"{home}/pairs", "--out", f"{out}", "--device", "cpu"],
            "benchmark": lambda out: ["sr", "--data", f"{home}/sets", "--out", f"{out}", "--device", "cpu"],
            "import": lambda out: [f"{home}/latest_net_D.pth", "--out", f"{out}"],
            "density": lambda out: ["sample", "--out", f"{out}"],
            "audit": lambda out: [f"{home}/kinds", "--out", f"{out}", "--blocks", "4", "--size", "32", "--steps", "9"],
            "compare": lambda out: ["--out", f"{out}", *compared],
            "demo": lambda out: ["--out", f"{out}", "--minutes", "0.2"],
        }


def _write_run(folder: Path, config: Pix2PixConfig | VAEConfig) -> None:
    torch.manual_seed(0)
    write_run_record(
        folder, RunRecord(method=config, input=PictureSpec(), output=PictureSpec(), image_size=(SIDE, SIDE))
    )
    method = build(config, input_channels=3, output_channels=3, image_size=(SIDE, SIDE))
    save_snapshot(snapshot_path(folder, "last"), method.eval(), images_seen=1)


def _discriminator() -> dict[str, torch.Tensor]:
    """Return a one-layer PatchGAN with the parameter names of the reference's checkpoints."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"0": (4, 6, 4, 4), "2": (8, 4, 4, 4), "5": (1, 8, 4, 4)}
    found = {f"model.{name}.weight": torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    found |= {f"model.{name}.bias": torch.zeros(shapes[name][0]) for name in ("0", "5")}
    found |= {f"model.3.{name}": torch.ones(8) for name in ("weight", "bias", "running_mean", "running_var")}
    return found | {"model.3.num_batches_tracked": torch.tensor(1)}


def warm_up() -> None:
    """Import everything that the children need, with one thread and a gate that admits everything."""
    methods()
    torch.set_num_threads(1)
    gate.load_scorer = lambda: lambda _rgb: 0.0
    gate.forget_scorer()


@dataclass(frozen=True)
class Ended:
    """End of a command in a child: exit code (or minus the signal's number), output, and seconds."""

    code: int
    said: str
    seconds: float


def run(words: Sequence[str], *, kill_after: float | None = None, number: int = signal.SIGKILL) -> Ended:
    """Run a command in a forked child, and send it a signal after `kill_after` seconds."""
    said = Path(os.environ["GANVAS_CACHE"]) / "said.txt"
    started, child = time.monotonic(), os.fork()
    if child == 0:
        code = 99
        try:
            os.setsid()
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1), os.dup2(output, 2)
            code = main(list(words))
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"), time.monotonic() - started)


def fingerprint(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file, by its path in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def half_written(folder: Path) -> list[str]:
    """Return the visible files that cannot be read in the format of their suffix."""
    bad = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            try:
                _read(path)
            except (GanvasError, ValueError, OSError, RuntimeError) as error:
                bad.append(f"{path.relative_to(folder)}: {error}")
    return bad


def _read(path: Path) -> None:
    if path.suffix in IMAGE_SUFFIXES:
        read_image(path)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":  # a kill may leave an incomplete last line, which readers skip
        for line in path.read_text().split("\n")[:-1]:
            json.loads(line)
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            for name in list(file.keys()):
                file.get_tensor(name)
    elif path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("is cut short")


def leftovers(folder: Path) -> list[str]:
    """Return the hidden files that a finished command must not leave behind."""
    found = [path for path in folder.rglob(".*") if path.is_file() and path.name not in OWN_HIDDEN]
    return [str(path.relative_to(folder)) for path in found]
