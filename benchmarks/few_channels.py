"""Convolution to few output channels, computed by rows of its kernel, compared with PyTorch's.

    python benchmarks/few_channels.py --threads 2

Times the forward and backward pass of the last layer of a ResNet and of a PatchGAN, with both implementations in turn
in one process; prints the median times, and the median and the range of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from ganvas.networks.convolutions import convolve_to_few
from ganvas.training.performance import memory_kept

LAYERS = {"ResNet's last, 256x256": ((1, 64, 262, 262), 3, 7), "PatchGAN's last, batch 8": ((8, 512, 33, 33), 1, 4)}
"""Shape of the features, output channels, side of the kernel."""
Convolution = Callable[[Tensor, Tensor, Tensor], Tensor]


def seconds_of(convolution: Convolution, features: Tensor, weight: Tensor, bias: Tensor) -> float:
    """Return the seconds of one forward and backward pass."""
    started = time.perf_counter()
    convolution(features, weight, bias).sum().backward()
    return time.perf_counter() - started


def compare(shape: tuple[int, ...], channels: int, kernel: int, *, rounds: int) -> dict[str, float]:
    """Return the medians in milliseconds, and the median of the rounds' ratios."""
    features = torch.randn(shape, requires_grad=True)
    weight = torch.randn(channels, shape[1], kernel, kernel, requires_grad=True)
    bias = torch.zeros(channels, requires_grad=True)
    ways: dict[str, Convolution] = {"torch": functional.conv2d, "rows": convolve_to_few}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 3):
        for name, way in ways.items():
            seconds[name].append(seconds_of(way, features, weight, bias))
    times = {name: values[3:] for name, values in seconds.items()}
    ratios = [slow / quick for slow, quick in zip(times["torch"], times["rows"], strict=True)]
    return {f"{name} ms": round(1e3 * median(values), 1) for name, values in times.items()} | {
        "ratio": round(median(ratios), 2),
        "smallest": round(min(ratios), 2),
        "largest": round(max(ratios), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=30)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    with memory_kept():
        found = {name: compare(*layer, rounds=chosen.rounds) for name, layer in LAYERS.items()}
    print(json.dumps({"threads": chosen.threads} | found, indent=1))


if __name__ == "__main__":
    main()
