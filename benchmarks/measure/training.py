"""One training step of ganvas and of the reference, as in their own training loops, on pictures in device memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ganvas.data.config import DataConfig, PairedData, UnpairedData
from ganvas.data.degradations import reduce
from ganvas.data.loader import Batch
from ganvas.image.picture import PictureSpec
from ganvas.methods import CycleGANConfig, MethodConfig, Pix2PixConfig, SRGANConfig
from ganvas.methods.base import Progress
from ganvas.training.config import RunConfig, TrainingConfig
from ganvas.training.distributed import Processes
from ganvas.training.loop import open_step
from ganvas.training.schedule import step_seed
from ganvas.training.state import build_state
from ganvas.training.step import set_rate
from measure.machine import device
from measure.pictures import Pictures
from measure.reference import Reference
from measure.timing import Work

UNTIL_THE_END = ExitStack()
"""Never closed: process-wide settings of a training step apply until the process ends."""
Pair = tuple[Tensor, Tensor]
REFERENCE = "reference float32"
OURS: dict[str, dict[str, Any]] = {
    "ganvas float32": {"precision": "float32"},
    "ganvas bfloat16": {"precision": "bfloat16"},
    "ganvas float32, captured": {"precision": "float32", "capture": True},
    "ganvas bfloat16, captured": {"precision": "bfloat16", "capture": True},
    "ganvas bfloat16, compiled": {"precision": "bfloat16", "compile": True},
}
"""Variant -> training settings."""
PLAIN, MIXED = ("ganvas float32", "ganvas bfloat16"), ("ganvas bfloat16", "ganvas bfloat16, captured")


def precision_of(variant: str) -> str:
    """Return the precision of a variant, from its name."""
    return "bfloat16" if "bfloat16" in variant else "float32"


@dataclass(frozen=True)
class Training:
    """Training step to measure.

    Attributes:
        method: config of our method.
        words: options of the reference for the same training; None if it has no such method.
        batch: pictures per step.
        data: data config of the method; the crops come from the facades.
        on_gpu: our variants that are measured on a GPU: as many as fit into its memory together.
        on_cpu: our variants that are measured on a CPU: the plain ones, since kernel launches cost little there.
    """

    method: MethodConfig
    words: tuple[str, ...] | None
    batch: int
    data: DataConfig = field(default_factory=PairedData)
    on_gpu: tuple[str, ...] = tuple(OURS)
    on_cpu: tuple[str, ...] = PLAIN

    def variants(self, *, beside_reference: bool) -> list[str]:
        """Return the variants for this machine; none if the training is too large for it."""
        ours = self.on_gpu if device().type == "cuda" else self.on_cpu
        return [REFERENCE, *ours] if beside_reference and ours and self.words is not None else list(ours)


PIX2PIX = Pix2PixConfig()
CYCLEGAN = CycleGANConfig(identity_weight=0.5)
"""The reference's default, so that both sides do the same."""
SRGAN = SRGANConfig(content="vgg16-5,3")
"""VGG16 instead of the paper's VGG19, which has the same cost in its first 13 convolutions, and 3 more."""
QUARTERS = PairedData(layout="single", degrade="reduce", strength=(4, 4), resize="none", crop_size=(96, 96))
"""Crop size and batch size of Ledig et al. 2017, Sec. 3.2."""
TRAININGS = {
    "pix2pix 256, batch 1": Training(PIX2PIX, ("--model", "pix2pix"), 1),
    "pix2pix 256, batch 8": Training(PIX2PIX, ("--model", "pix2pix"), 8),
    "CycleGAN 256, batch 1": Training(CYCLEGAN, ("--model", "cycle_gan"), 1, UnpairedData()),
    "CycleGAN 256, batch 8": Training(CYCLEGAN, ("--model", "cycle_gan"), 8, UnpairedData(), on_gpu=MIXED, on_cpu=()),
    "SRGAN x4 to 96, batch 16": Training(SRGAN, None, 16, QUARTERS),
}


def prepare(given: dict[str, Any]) -> Callable[[], Work]:
    """Import and read everything, and return a function that creates the networks and returns the training step."""
    reference = Reference(**given["reference"]) if given["reference"] else None
    folder, training = Path(given["folder"]), TRAININGS[given["work"]]
    pair = pictures_of(training, Pictures(Path(given["data"]) if given["data"] else None, folder))
    where = device()
    placed = pair[0].to(where), pair[1].to(where)
    if given["variant"] != REFERENCE:
        return lambda: our_step(training, OURS[given["variant"]], placed)
    assert reference is not None
    reference.prepare()
    return lambda: reference_step(training, placed, reference, folder)


def pictures_of(training: Training, pictures: Pictures) -> Pair:
    """Return a batch for the training; inputs of super-resolution are downsampled here, before the step."""
    given, wanted = pictures.batch(training.batch)
    if not isinstance(training.method, SRGANConfig):
        return given, wanted
    height, width = training.data.crop_size
    wanted = wanted[..., :height, :width].contiguous()
    return reduce(wanted, training.method.scale), wanted


def our_step(training: Training, settings: dict[str, Any], pair: Pair) -> Work:
    """Return the step of our training loop; its process-wide settings apply until the process ends."""
    chosen = replace(TrainingConfig(batch_size=training.batch), **settings)
    config = RunConfig(method=training.method, data=training.data, training=chosen)
    processes, spec = Processes(device()), PictureSpec(channels=3)
    dataset: Any = SimpleNamespace(input_spec=spec, output_spec=spec)
    state, batch, seen = build_state(config, dataset, processes), Batch(*pair), 0
    take_step = open_step(state, config, processes, UNTIL_THE_END)

    def step() -> None:
        nonlocal seen
        torch.manual_seed(step_seed(0, seen, 0))
        set_rate(state.optimizers, chosen.learning_rate)
        losses = take_step(batch, Progress(seen, seen // training.batch))
        seen += training.batch
        state.average.update(images=training.batch, images_seen=seen)
        state.meter.add(losses)

    return step


def reference_step(training: Training, pair: Pair, reference: Reference, folder: Path) -> Work:
    """Return the step of the reference's training loop."""
    assert training.words is not None
    common = ("--dataroot", folder, "--checkpoints_dir", folder, "--name", "step", "--batch_size", training.batch)
    options = reference.options([*map(str, common), *training.words], training=True, device=device())
    model = reference.model(options)
    given = {"A": pair[0], "B": pair[1], "A_paths": "", "B_paths": ""}

    def step() -> None:
        model.set_input(given)
        model.optimize_parameters()

    return step
