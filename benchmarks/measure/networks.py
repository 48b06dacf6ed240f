"""Part `network`: forward passes of generators on pictures in device memory, without files and content gate.

They are compared with the reference and, on a CPU, with ONNX Runtime and OpenVINO, which run the same network through
`torch.onnx.export` (packages onnxscript and openvino; a note gives the reason if a runtime is left out).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganvas.demonstration.run import demo_config
from ganvas.inference.prepacking import make_ready
from ganvas.methods import CycleGANConfig, MethodConfig, Pix2PixConfig, SRResNetConfig
from ganvas.methods.base import build
from measure.machine import device, matmul_peak, measured_precisions
from measure.operations import share_of_peak
from measure.options import Options
from measure.reference import Reference
from measure.runtimes import RUNTIMES, in_runtime, installed_runtimes
from measure.table import Row, Table
from measure.timing import Timing, Work, in_turn, ratio
from measure.workers import Team, team

NOTE = (
    "Forward passes in evaluation mode on 256x256, ours prepared as by the translator. Each variant runs in a separate "
    "process; rounds alternate between them. Memory: the peak of that process over the first two passes, above that "
    "before the network was created."
)
REFERENCE, PLAIN = "reference float32", "plain"
"""`plain` is our network as in training; its operations are counted."""


@dataclass(frozen=True)
class Network:
    """Generator in ganvas and in the reference; an empty name means that the reference has none."""

    method: MethodConfig
    reference_name: str
    norm: str
    batch: int
    size: int = 256


UNET, RESNET = Pix2PixConfig(dropout=0.0), CycleGANConfig()
DEMO = demo_config(Path(), adversarial_weight=0.0).method
NETWORKS = {
    "U-Net 256, batch 1": Network(UNET, "unet_256", "batch", 1),
    "U-Net 256, batch 8": Network(UNET, "unet_256", "batch", 8),
    "ResNet 9 blocks, batch 1": Network(RESNET, "resnet_9blocks", "instance", 1),
    "ResNet 9 blocks, batch 32": Network(RESNET, "resnet_9blocks", "instance", 32),
    "SRResNet x4 of 64x64, batch 1": Network(SRResNetConfig(), "", "batch", 1, size=64),
    "the demo's network, batch 1": Network(DEMO, "", "none", 1),
}


def measure_networks(options: Options) -> list[Table]:
    """Return a table with a row for each variant of each network; batches above 8 only on a GPU."""
    table = Table("Networks alone", notes=[NOTE])
    peaks = {precision: matmul_peak(precision) for precision in measured_precisions(table)}
    runtimes = installed_runtimes(table) if device().type == "cpu" else []
    for name, network in ((name, network) for name, network in NETWORKS.items() if options.work in name):
        if network.batch > 8 and device().type != "cuda":
            continue
        try:
            table.rows += _rows(name, options, peaks, runtimes, table)
        except (RuntimeError, ValueError, LookupError, OSError) as error:
            table.fail(name, error)
    return [table]


def prepare(given: dict[str, Any]) -> Callable[[], Work]:
    """Import everything, and return a function that creates the network and returns its forward pass."""
    network, variant = NETWORKS[given["work"]], given["variant"]
    images = torch.rand(network.batch, 3, network.size, network.size, device=device()) * 2 - 1
    reference = Reference(**given["reference"]) if given["reference"] else None
    if reference:
        reference.prepare()

    def make() -> Work:
        if variant in RUNTIMES:
            return in_runtime(variant, _ours(network, PLAIN), images, threads=given["threads"])
        generator = _theirs(network, reference) if reference and variant == REFERENCE else _ours(network, variant)
        generator.to(device()).eval()
        return torch.inference_mode()(lambda: generator(images))

    return make


def _theirs(network: Network, reference: Reference) -> nn.Module:
    generator: nn.Module = reference.generator(network.reference_name, norm=network.norm)
    return generator


def _ours(network: Network, variant: str) -> nn.Module:
    method = build(network.method, input_channels=3, output_channels=3, image_size=(256, 256)).to(device())
    if variant != PLAIN:
        make_ready(method, precision="bfloat16" if "bfloat16" in variant else "float32")
    generator: nn.Module = getattr(method, method.generators[0])
    return generator


def _rows(work: str, options: Options, peaks: dict[str, float], runtimes: Sequence[str], table: Table) -> list[Row]:
    beside = [REFERENCE] if options.reference and NETWORKS[work].reference_name else []
    others = runtimes if NETWORKS[work].batch == 1 else []
    names = [*beside, *others, *(f"ganvas {precision}" for precision in peaks)]
    given = {name: options.for_worker("networks", work=work, variant=name) for name in [*names, PLAIN]}
    with team(work, given, table) as made:
        timers = {name: made.workers[name].seconds for name in names if name in made.workers}
        timings = in_turn(timers, rounds=options.of(9, 5), budget=options.of(40, 15), least_seconds=0.5)
        operations = made.count(PLAIN)
        return [_row(work, name, timings, made, operations, peaks) for name in timings]


def _row(
    work: str, name: str, timings: dict[str, Timing], made: Team, operations: float, peaks: dict[str, float]
) -> Row:
    timing, batch = timings[name], NETWORKS[work].batch
    precision = "bfloat16" if "bfloat16" in name else "float32"
    return {
        "network": work,
        "variant": name,
        "images/s": batch / timing.median,
        "slowest-fastest": f"{batch / max(timing.seconds):.3g}-{batch / min(timing.seconds):.3g}",
        "x reference": ratio(timings[REFERENCE], timing) if REFERENCE in timings else None,
        "x faster runtime": _beside_runtimes(timings, timing),
        "peak MB": made.peaks[name] / 1e6,
        "GFLOP an image": operations / batch / 1e9,
        "% of peak": share_of_peak(operations, timing.median, peaks[precision]),
    }


def _beside_runtimes(timings: dict[str, Timing], timing: Timing) -> float | None:
    """Return the speedup over the faster of the other runtimes; None without one."""
    others = [timings[name] for name in RUNTIMES if name in timings]
    return ratio(min(others, key=lambda other: other.median), timing) if others else None
