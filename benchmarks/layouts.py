"""Memory formats for the convolutions of a training step in float32 on a CPU: contiguous or channels last.

    python benchmarks/layouts.py --batch 8
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/layouts.py

For each layer of pix2pix's networks: milliseconds of the forward pass, of the features' gradient and of the weights'
gradient, in both formats. Processor time of one thread, the fastest of several rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import grad

LAYERS = (
    ("U-Net, first", nn.Conv2d(3, 64, 4, 2, 1), 256),
    ("U-Net, encoder", nn.Conv2d(64, 128, 4, 2, 1), 128),
    ("U-Net, encoder", nn.Conv2d(128, 256, 4, 2, 1), 64),
    ("U-Net, encoder", nn.Conv2d(256, 512, 4, 2, 1), 32),
    ("U-Net, encoder", nn.Conv2d(512, 512, 4, 2, 1), 16),
    ("U-Net, decoder", nn.ConvTranspose2d(1024, 512, 4, 2, 1), 8),
    ("U-Net, decoder", nn.ConvTranspose2d(1024, 256, 4, 2, 1), 16),
    ("U-Net, decoder", nn.ConvTranspose2d(512, 128, 4, 2, 1), 32),
    ("U-Net, decoder", nn.ConvTranspose2d(256, 64, 4, 2, 1), 64),
    ("U-Net, last", nn.ConvTranspose2d(128, 3, 4, 2, 1), 128),
    ("PatchGAN", nn.Conv2d(6, 64, 4, 2, 1), 256),
    ("PatchGAN", nn.Conv2d(64, 128, 4, 2, 1), 128),
    ("PatchGAN", nn.Conv2d(128, 256, 4, 2, 1), 64),
    ("PatchGAN", nn.Conv2d(256, 512, 4, 1, 1), 32),
    ("PatchGAN, last", nn.Conv2d(512, 1, 4, 1, 1), 31),
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"instructions of PyTorch: {torch.backends.cpu.get_cpu_capability()}; batch {given.batch}; milliseconds")
    print("| layer | GFLOP | planes: forward, features, weights | channels last: the same |")
    print("|---|---|---|---|")
    for name, layer, size in LAYERS:
        features = torch.randn(given.batch, layer.in_channels, size, size)
        planes = timed(layer, features, given.rounds)
        last = timed(layer, features.contiguous(memory_format=torch.channels_last), given.rounds)
        times = [", ".join(f"{1e3 * seconds:.1f}" for seconds in row) for row in (planes, last)]
        channels = f"{layer.in_channels} to {layer.out_channels}, {size} pixels"
        print(f"| {name}, {channels} | {operations(layer, features):.2f} | {times[0]} | {times[1]} |")


def operations(layer: nn.Conv2d | nn.ConvTranspose2d, features: Tensor) -> float:
    """Return the GFLOP of one pass."""
    placed = features if isinstance(layer, nn.ConvTranspose2d) else layer(features)
    return 2e-9 * layer.weight.numel() * placed.numel() / placed.shape[1]


def timed(layer: nn.Conv2d | nn.ConvTranspose2d, features: Tensor, rounds: int) -> list[float]:
    """Return the seconds of the forward pass, and of the gradients of features and weights."""
    features = features.requires_grad_()
    made = layer(features)
    gradient, weights = torch.randn_like(made), list(layer.parameters())

    works: list[Callable[[], object]] = [
        lambda: layer(features),
        lambda: grad(made, features, gradient, retain_graph=True),
        lambda: grad(made, weights, gradient, retain_graph=True),
    ]
    return [min(seconds(work) for _ in range(rounds)) for work in works]


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of this thread."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


if __name__ == "__main__":
    main()
