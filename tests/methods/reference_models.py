"""Checkpoints with the parameter names of the reference and random weights, and the outputs of their networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


class Checkpoint:
    """State dict, with its network as a function of pictures, without dropout.

    Norms are "batch", "instance", "none", or "old_instance": with the unused statistics that torch before 0.4 saved.
    """

    def __init__(self, norm: str) -> None:
        self.norm, self.training = norm, False
        self.state: dict[str, Tensor] = {}
        self.compute: Callable[[Tensor], Tensor]
        self.random = torch.Generator().manual_seed(0)

    def __call__(self, images: Tensor, *, training: bool = False) -> Tensor:
        self.training = training
        return self.compute(images)

    def draw(self, *shape: int, around: float = 0.0) -> Tensor:
        return around + 0.1 * torch.randn(shape, generator=self.random)

    def add(self, name: str, after: int, before: int, kernel: int, *, up: bool = False, bias: bool = False) -> str:
        """Add a convolution, or a transposed one; before an instance norm it has a bias too."""
        self.state[f"{name}.weight"] = self.draw(*((before, after) if up else (after, before)), kernel, kernel)
        if bias or "instance" in self.norm:
            self.state[f"{name}.bias"] = self.draw(after)
        return name

    def add_norm(self, name: str, channels: int) -> str:
        if self.norm == "batch":
            self.state |= {f"{name}.weight": self.draw(channels, around=1), f"{name}.bias": self.draw(channels)}
        if self.norm in ("batch", "old_instance"):
            self.state[f"{name}.running_mean"] = self.draw(channels)
            self.state[f"{name}.running_var"] = self.draw(channels, around=1.5).abs()
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)
        return name

    def conv(self, images: Tensor, name: str, *, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return functional.conv2d(images, weight, bias, stride, padding)

    def mirrored(self, images: Tensor, name: str) -> Tensor:
        border = self.state[f"{name}.weight"].shape[-1] // 2
        return self.conv(functional.pad(images, [border] * 4, mode="reflect"), name)

    def up(self, images: Tensor, name: str) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return functional.conv_transpose2d(images, weight, bias, 2, 1, output_padding=weight.shape[-1] % 2)

    def normalised(self, images: Tensor, name: str) -> Tensor:
        if self.norm == "none":
            return images
        if self.norm != "batch":
            return functional.instance_norm(images)
        mean, variance = (self.state[f"{name}.running_{kind}"].clone() for kind in ("mean", "var"))
        scale, offset = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return functional.batch_norm(images, mean, variance, scale, offset, training=self.training)


def leaky(images: Tensor) -> Tensor:
    return functional.leaky_relu(images, 0.2)


def unet(halvings: int, *, norm: str = "batch", width: int = 4, channels: tuple[int, int] = (3, 3)) -> Checkpoint:
    net = Checkpoint(norm)
    sizes = [channels[0], *(width * min(2**level, 8) for level in range(halvings))]
    nests = ["model.model" + ".1.model" * (level > 0) + ".3.model" * (level - 1) for level in range(halvings)]
    for level, nest in enumerate(nests):
        outermost, innermost = level == 0, level == halvings - 1
        after, wide = sizes[level + 1], sizes[level + 1] * (1 if innermost else 2)
        net.add(f"{nest}.{0 if outermost else 1}", after, sizes[level], 4)
        back = f"{nest}.{3 if outermost or innermost else 5}"
        net.add(back, channels[1] if outermost else sizes[level], wide, 4, up=True, bias=outermost)
        if not outermost:
            net.add_norm(f"{nest}.{4 if innermost else 6}", sizes[level])
        if not outermost and not innermost:
            net.add_norm(f"{nest}.2", after)

    def compute(images: Tensor) -> Tensor:
        kept = [net.conv(images, "model.model.0", stride=2, padding=1)]
        for nest in nests[1:-1]:
            kept.append(net.normalised(net.conv(leaky(kept[-1]), f"{nest}.1", stride=2, padding=1), f"{nest}.2"))
        made = net.conv(leaky(kept[-1]), f"{nests[-1]}.1", stride=2, padding=1)
        made = net.normalised(net.up(made.relu(), f"{nests[-1]}.3"), f"{nests[-1]}.4")
        for nest in reversed(nests[1:-1]):
            made = net.up(torch.cat([kept.pop(), made], 1).relu(), f"{nest}.5")
            made = net.normalised(made, f"{nest}.6")
        return net.up(torch.cat([kept.pop(), made], 1).relu(), "model.model.3").tanh()

    net.compute = compute
    return net


def resnet(
    blocks: int,
    *,
    norm: str = "instance",
    width: int = 4,
    channels: tuple[int, int] = (3, 3),
    dropout: bool = False,
) -> Checkpoint:
    net = Checkpoint(norm)
    inner = [(f"model.{10 + block}.conv_block", 6 if dropout else 5) for block in range(blocks)]
    ups = [f"model.{10 + blocks}", f"model.{13 + blocks}"]
    norms = {}
    for name, after, before, kernel in [
        ("model.1", width, channels[0], 7),
        ("model.4", 2 * width, width, 3),
        ("model.7", 4 * width, 2 * width, 3),
        *((f"{block}.{index}", 4 * width, 4 * width, 3) for block, second in inner for index in (1, second)),
        (ups[0], 2 * width, 4 * width, 3),
        (ups[1], width, 2 * width, 3),
    ]:
        net.add(name, after, before, kernel, up=name in ups)
        stem, _, index = name.rpartition(".")
        norms[name] = net.add_norm(f"{stem}.{int(index) + 1}", after)
    last = net.add(f"model.{17 + blocks}", channels[1], width, 7, bias=True)

    def compute(images: Tensor) -> Tensor:
        made = net.normalised(net.mirrored(images, "model.1"), norms["model.1"]).relu()
        for name in ("model.4", "model.7"):
            made = net.normalised(net.conv(made, name, stride=2, padding=1), norms[name]).relu()
        for block, second in inner:
            first, second_name = f"{block}.1", f"{block}.{second}"
            more = net.normalised(net.mirrored(made, first), norms[first]).relu()
            made = made + net.normalised(net.mirrored(more, second_name), norms[second_name])
        for name in ups:
            made = net.normalised(net.up(made, name), norms[name]).relu()
        return net.mirrored(made, last).tanh()

    net.compute = compute
    return net


def cut(blocks: int, *, norm: str = "instance", width: int = 4, channels: int = 3) -> Checkpoint:
    """Return CUT's generator, with filters after each downsampling and before each upsampling."""
    net = Checkpoint(norm)
    after = 12 + blocks
    inner = [f"model.{12 + block}.conv_block" for block in range(blocks)]
    convolutions = [
        ("model.1", width, channels, 7),
        ("model.4", 2 * width, width, 3),
        ("model.8", 4 * width, 2 * width, 3),
        *((f"{block}.{index}", 4 * width, 4 * width, 3) for block in inner for index in (1, 5)),
        (f"model.{after + 1}", 2 * width, 4 * width, 3),
        (f"model.{after + 5}", width, 2 * width, 3),
    ]
    norms = {}
    for name, made, given, kernel in convolutions:
        net.add(name, made, given, kernel)
        stem, _, index = name.rpartition(".")
        norms[name] = net.add_norm(f"{stem}.{int(index) + 1}", made)
    last = net.add(f"model.{after + 9}", channels, width, 7, bias=True)
    for name, row, count in [
        ("model.7", [1.0, 2.0, 1.0], 2 * width),
        ("model.11", [1.0, 2.0, 1.0], 4 * width),
        (f"model.{after}", [1.0, 3.0, 3.0, 1.0], 4 * width),
        (f"model.{after + 4}", [1.0, 3.0, 3.0, 1.0], 2 * width),
    ]:
        taps = torch.outer(torch.tensor(row), torch.tensor(row))
        gain = 4 if len(row) == 4 else 1
        net.state[f"{name}.filt"] = (gain * taps / taps.sum()).expand(count, 1, -1, -1).clone()

    def halved(images: Tensor, name: str) -> Tensor:
        taps = net.state[f"{name}.filt"]
        return functional.conv2d(functional.pad(images, [1] * 4, mode="reflect"), taps, stride=2, groups=len(taps))

    def doubled(images: Tensor, name: str) -> Tensor:
        taps = net.state[f"{name}.filt"]
        padded = functional.pad(images, [1] * 4, mode="replicate")
        return functional.conv_transpose2d(padded, taps, stride=2, padding=2, groups=len(taps))[:, :, 1:-1, 1:-1]

    def compute(images: Tensor) -> Tensor:
        made = net.normalised(net.mirrored(images, "model.1"), norms["model.1"]).relu()
        for name, filtered in (("model.4", "model.7"), ("model.8", "model.11")):
            made = halved(net.normalised(net.conv(made, name, padding=1), norms[name]).relu(), filtered)
        for block in inner:
            first, second = f"{block}.1", f"{block}.5"
            more = net.normalised(net.mirrored(made, first), norms[first]).relu()
            made = made + net.normalised(net.mirrored(more, second), norms[second])
        for index in (after, after + 4):
            name = f"model.{index + 1}"
            made = net.normalised(net.conv(doubled(made, f"model.{index}"), name, padding=1), norms[name]).relu()
        return net.mirrored(made, last).tanh()

    net.compute = compute
    return net


def patchgan(num_layers: int, *, norm: str = "batch", width: int = 4, channels: int = 6) -> Checkpoint:
    net = Checkpoint(norm)
    sizes = [width * min(2**layer, 8) for layer in range(num_layers + 1)]
    net.add("model.0", width, channels, 4, bias=True)
    for layer in range(1, num_layers + 1):
        net.add(f"model.{3 * layer - 1}", sizes[layer], sizes[layer - 1], 4)
        net.add_norm(f"model.{3 * layer}", sizes[layer])
    last = net.add(f"model.{3 * num_layers + 2}", 1, sizes[-1], 4, bias=True)

    def compute(images: Tensor) -> Tensor:
        made = leaky(net.conv(images, "model.0", stride=2, padding=1))
        for layer in range(1, num_layers + 1):
            made = net.conv(made, f"model.{3 * layer - 1}", stride=2 if layer < num_layers else 1, padding=1)
            made = leaky(net.normalised(made, f"model.{3 * layer}"))
        return net.conv(made, last, padding=1)

    net.compute = compute
    return net


def pixelgan(*, norm: str = "batch", width: int = 4, channels: int = 6) -> Checkpoint:
    net = Checkpoint(norm)
    net.add("net.0", width, channels, 1, bias=True)
    net.add("net.2", 2 * width, width, 1)
    net.add_norm("net.3", 2 * width)
    net.add("net.5", 1, 2 * width, 1)

    def compute(images: Tensor) -> Tensor:
        made = net.conv(leaky(net.conv(images, "net.0")), "net.2")
        return net.conv(leaky(net.normalised(made, "net.3")), "net.5")

    net.compute = compute
    return net
