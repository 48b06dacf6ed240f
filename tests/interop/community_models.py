"""Community restoration models with random weights, and an independent implementation of each."""

import math

import torch
from torch import Tensor
from torch.nn import functional


class Weights:
    """Random weights by name, and layers that use them: an independent implementation of the architectures."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self.state = torch.Generator().manual_seed(seed), dict[str, Tensor]()

    def draw(self, *shape: int) -> Tensor:
        return 0.3 * torch.randn(shape, generator=self.random)

    def add(self, name: str, after: int, before: int, kernel: int = 3, *, bias: bool = True) -> None:
        self.state[f"{name}.weight"] = self.draw(after, before, kernel, kernel) / math.sqrt(before)
        if bias:
            self.state[f"{name}.bias"] = self.draw(after)

    def conv(self, images: Tensor, name: str) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return functional.conv2d(images, weight, self.state.get(f"{name}.bias"), padding=weight.shape[2] // 2)


def leaky(images: Tensor) -> Tensor:
    return functional.leaky_relu(images, 0.2)


def esrgan(
    layout: str = "real", *, ups=(2, 2), channels=(3, 3), width=6, growth=4, blocks=2, unshuffle=1, plus=False
) -> tuple[dict[str, Tensor], object]:
    """Return an ESRGAN in one of the three layouts, and its forward pass."""
    net = Weights()
    number = len(ups)
    names = {
        "real": ("conv_first", "body.{}.rdb{}.{}", "", "conv_body", "conv_up{}", "conv_hr", "conv_last"),
        "trunk": ("conv_first", "RRDB_trunk.{}.RDB{}.{}", "", "trunk_conv", "upconv{}", "HRconv", "conv_last"),
        "old": (
            "model.0", "model.1.sub.{}.RDB{}.{}", ".0", f"model.1.sub.{blocks}", "", f"model.{3 * number + 2}",
            f"model.{3 * number + 4}",
        ),
    }  # fmt: skip
    first, dense, more, body, up, before_last, last = names[layout]
    up_names = [f"model.{3 * at}" if layout == "old" else up.format(at) for at in range(1, number + 1)]
    net.add(first, width, channels[0] * unshuffle**2)
    for block in range(blocks):
        for part in (1, 2, 3):
            for conv in range(1, 6):
                after = growth if conv < 5 else width
                net.add(dense.format(block, part, f"conv{conv}{more}"), after, width + (conv - 1) * growth)
            if plus:
                net.add(dense.format(block, part, "conv1x1"), growth, width, 1, bias=False)
    net.add(body, width, width)
    for name in (*up_names, before_last):
        net.add(name, width, width)
    net.add(last, channels[1], width)

    def dense_block(given: Tensor, block: int, part: int) -> Tensor:
        known = [given]
        for conv in range(1, 5):
            made = leaky(net.conv(torch.cat(known, 1), dense.format(block, part, f"conv{conv}{more}")))
            if plus and conv == 2:
                made = made + net.conv(given, dense.format(block, part, "conv1x1"))
            if plus and conv == 4:
                made = made + known[2]
            known.append(made)
        return given + 0.2 * net.conv(torch.cat(known, 1), dense.format(block, part, f"conv5{more}"))

    def compute(images: Tensor) -> Tensor:
        start = made = net.conv(functional.pixel_unshuffle(images, unshuffle) if unshuffle > 1 else images, first)
        for block in range(blocks):
            inner = made
            for part in (1, 2, 3):
                inner = dense_block(inner, block, part)
            made = made + 0.2 * inner
        made = start + net.conv(made, body)
        for factor, name in zip(ups, up_names, strict=True):
            made = leaky(net.conv(made.repeat_interleave(factor, 2).repeat_interleave(factor, 3), name))
        return net.conv(leaky(net.conv(made, before_last)), last)

    return net.state, compute


def compact(*, scale=2, channels=(3, 3), width=5, blocks=2, activation="prelu"):
    """Return a Compact, and its forward pass."""
    net = Weights()
    for at in range(blocks + 2):
        after = width if at <= blocks else channels[1] * scale**2
        net.add(f"body.{2 * at}", after, width if at else channels[0])
        if activation == "prelu" and at <= blocks:
            net.state[f"body.{2 * at + 1}.weight"] = net.draw(width)

    def activate(features: Tensor, at: int) -> Tensor:
        if activation == "prelu":
            return functional.prelu(features, net.state[f"body.{2 * at + 1}.weight"])
        return functional.leaky_relu(features, 0.1) if activation == "leaky_relu" else features.relu()

    def compute(images: Tensor) -> Tensor:
        made = images
        for at in range(blocks + 1):
            made = activate(net.conv(made, f"body.{2 * at}"), at)
        made = functional.pixel_shuffle(net.conv(made, f"body.{2 * blocks + 2}"), scale)
        return made + images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    return net.state, compute


def nafnet(*, channels=3, width=4, encoder=(1, 2), middle=1, decoder=(2, 1)):
    """Return a NAFNet, and its forward pass."""
    net = Weights()

    def add_block(name: str, size: int) -> None:
        for norm in ("norm1", "norm2"):
            net.state |= {f"{name}.{norm}.weight": 1 + net.draw(size), f"{name}.{norm}.bias": net.draw(size)}
        net.state |= {f"{name}.{factor}": net.draw(1, size, 1, 1) for factor in ("beta", "gamma")}
        for conv, after, before, kernel in [
            ("conv1", 2 * size, size, 1), ("conv2", 2 * size, 1, 3), ("conv3", size, size, 1), ("sca.1", size, size, 1),
            ("conv4", 2 * size, size, 1), ("conv5", size, size, 1),
        ]:  # fmt: skip
            net.add(f"{name}.{conv}", after, before, kernel)

    def normed(features: Tensor, name: str) -> Tensor:
        mean = features.mean(1, keepdim=True)
        spread = ((features - mean) ** 2).mean(1, keepdim=True)
        weight, bias = (net.state[f"{name}.{leaf}"].view(1, -1, 1, 1) for leaf in ("weight", "bias"))
        return weight * (features - mean) / (spread + 1e-6).sqrt() + bias

    def block(features: Tensor, name: str) -> Tensor:
        inner = net.conv(normed(features, f"{name}.norm1"), f"{name}.conv1")
        weight, bias = net.state[f"{name}.conv2.weight"], net.state[f"{name}.conv2.bias"]
        inner = functional.conv2d(inner, weight, bias, padding=1, groups=len(weight))
        half = inner.shape[1] // 2
        inner = inner[:, :half] * inner[:, half:]
        inner = net.conv(inner * net.conv(inner.mean((2, 3), keepdim=True), f"{name}.sca.1"), f"{name}.conv3")
        features = features + inner * net.state[f"{name}.beta"]
        inner = net.conv(normed(features, f"{name}.norm2"), f"{name}.conv4")
        inner = net.conv(inner[:, :half] * inner[:, half:], f"{name}.conv5")
        return features + inner * net.state[f"{name}.gamma"]

    levels = len(encoder)
    net.add("intro", width, channels)
    net.add("ending", channels, width)
    for level in range(levels):
        size = width * 2**level
        for at in range(encoder[level]):
            add_block(f"encoders.{level}.{at}", size)
        net.add(f"downs.{level}", 2 * size, size, 2)
        net.add(f"ups.{levels - 1 - level}.0", 4 * size, 2 * size, 1, bias=False)
        for at in range(decoder[levels - 1 - level]):
            add_block(f"decoders.{levels - 1 - level}.{at}", size)
    for at in range(middle):
        add_block(f"middle_blks.{at}", width * 2**levels)

    def compute(images: Tensor) -> Tensor:
        made, kept = net.conv(images, "intro"), []
        for level in range(levels):
            for at in range(encoder[level]):
                made = block(made, f"encoders.{level}.{at}")
            kept.append(made)
            made = functional.conv2d(
                made, net.state[f"downs.{level}.weight"], net.state[f"downs.{level}.bias"], stride=2
            )
        for at in range(middle):
            made = block(made, f"middle_blks.{at}")
        for level in range(levels):
            made = functional.pixel_shuffle(net.conv(made, f"ups.{level}.0"), 2) + kept.pop()
            for at in range(decoder[level]):
                made = block(made, f"decoders.{level}.{at}")
        return images + net.conv(made, "ending")

    return net.state, compute
