"""Resize-convolution computed as one transposed convolution, compared with upsampling followed by a convolution.

    python benchmarks/resize_convolution.py --threads 2

Times a training step of the demo's U-Net, with both variants in turn in one process; prints the median times, and the
median and the quartiles of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median

import torch
from torch import Tensor, nn

from ganvas.networks import UNet
from ganvas.networks.blocks import ResizeConvolution


class EnlargeThenConvolve(ResizeConvolution):
    """Resize-convolution computed by its definition."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, output_channels, 2 H, 2 W)."""
        enlarged = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
        return nn.functional.conv2d(enlarged, self.weight, self.bias, padding=1)


def make_network(layer: type[ResizeConvolution]) -> UNet:
    """Return the demo's generator with `layer` for upsampling."""
    network = UNet(3, 3, width=32, depth=3, norm="none", dropout=0.0, residual=True, upsampling="resize")
    for module in network.modules():
        if isinstance(module, ResizeConvolution):
            module.__class__ = layer
    return network


def step_seconds(network: UNet, images: Tensor) -> float:
    """Return the seconds of one forward and backward pass."""
    started = time.perf_counter()
    (network(images) - images / 2).abs().mean().backward()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    images = torch.rand(16, 3, 64, 64) * 2 - 1
    networks = {"transposed": make_network(ResizeConvolution), "enlarged": make_network(EnlargeThenConvolve)}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(chosen.rounds + 5):
        for name, network in networks.items():
            seconds[name].append(step_seconds(network, images))
    times = {name: values[5:] for name, values in seconds.items()}
    ratios = sorted(slow / quick for slow, quick in zip(times["enlarged"], times["transposed"], strict=True))
    quarter = len(ratios) // 4
    spread = {"median": median(ratios), "lower quartile": ratios[quarter], "upper quartile": ratios[-quarter - 1]}
    print(json.dumps({
        "threads": chosen.threads,
        "images_per_second": {name: round(len(images) / median(values), 1) for name, values in times.items()},
        "ratio": {name: round(value, 2) for name, value in spread.items()},
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
