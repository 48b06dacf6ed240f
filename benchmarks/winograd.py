"""Speed of the Winograd convolution compared with PyTorch's, for the layers that use it.

    python benchmarks/winograd.py --threads 2

Times the forward and backward pass of both in turn in one process; prints the medians, the median and range of the
rounds' ratios, and the largest difference of the results relative to the largest value. docs/speed.md describes how to
emulate a processor without AVX-512; set `MKL_ENABLE_INSTRUCTIONS=AVX2` too, because PyTorch may compute the matrix
products with MKL.
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

from ganvas.networks.winograd import convolve_winograd
from ganvas.training.performance import memory_kept

LAYERS = {
    "ResNet's blocks at 256 pixels": ((1, 256, 66, 66), 256, 3, 0),
    "the same, batch 8": ((8, 256, 66, 66), 256, 3, 0),
    "ResNet's blocks at 128 pixels": ((1, 256, 34, 34), 256, 3, 0),
    "PatchGAN's fourth at 256 pixels": ((1, 256, 32, 32), 512, 4, 1),
    "the same, batch 8 (PatchGAN)": ((8, 256, 32, 32), 512, 4, 1),
    "VGG19's fourth block, 16 crops of 96": ((16, 512, 12, 12), 512, 3, 1),
}
"""Shape of the features, output channels, side of the kernel, padding."""
Convolution = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def plain(features: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """Compute the convolution with PyTorch."""
    return functional.conv2d(features, weight, bias, padding=padding)


WAYS: dict[str, Convolution] = {"torch": plain, "winograd": convolve_winograd}


def compare(shape: tuple[int, ...], channels: int, kernel: int, padding: int, *, rounds: int) -> dict[str, float]:
    """Return the medians in milliseconds, the median of the rounds' ratios, and the difference."""
    torch.manual_seed(0)
    features = torch.randn(shape, requires_grad=True)
    weight = (0.02 * torch.randn(channels, shape[1], kernel, kernel)).requires_grad_()
    bias = torch.zeros(channels, requires_grad=True)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    made = dict[str, Tensor]()
    for _ in range(rounds + 1):
        for name, way in WAYS.items():
            started = time.perf_counter()
            result = way(features, weight, bias, padding)
            torch.autograd.grad(result, (features, weight, bias), torch.ones_like(result))
            seconds[name].append(time.perf_counter() - started)
            made[name] = result.detach()
    times = {name: values[1:] for name, values in seconds.items()}
    ratios = [slow / quick for slow, quick in zip(times["torch"], times["winograd"], strict=True)]
    difference = (made["torch"] - made["winograd"]).abs().max() / made["torch"].abs().max()
    return {f"{name} ms": round(1e3 * median(values), 1) for name, values in times.items()} | {
        "ratio": round(median(ratios), 2),
        "smallest": round(min(ratios), 2),
        "largest": round(max(ratios), 2),
        "difference": float(f"{difference.item():.1e}"),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with memory_kept():
        for name, layer in LAYERS.items():
            print(json.dumps({"layer": name, **compare(*layer, rounds=chosen.rounds)}), flush=True)


if __name__ == "__main__":
    main()
