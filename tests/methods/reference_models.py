"""The reference's networks, written down again from the names in its files: what a checkpoint of each would hold."""

from __future__ import annotations

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, images):
        return self.model(images)


class Skip(Model):
    def forward(self, images):
        return torch.cat([images, self.model(images)], 1)


class Net(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, images):
        return self.net(images)


class Block(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, features):
        return features + self.conv_block(features)


def norm_layer(norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, track_running_stats=norm == "old_instance") if "inst" in norm else nn.Identity()


def unet(halvings: int, *, norm="batch", width=4, channels=(3, 3), dropout=False) -> nn.Module:
    bias, leaky, relu = "instance" in norm, nn.LeakyReLU(0.2), nn.ReLU()
    sizes = [width * min(2**level, 8) for level in range(halvings)]

    def down(before, after):
        return nn.Conv2d(before, after, 4, 2, 1, bias=bias)

    def up(before, after, bias=bias):
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)

    before, inner = sizes[-2:]
    nested = Skip(leaky, down(before, inner), relu, up(inner, before), norm_layer(norm, before))
    for level in range(halvings - 2, 0, -1):
        before, inner = sizes[level - 1], sizes[level]
        drop = [nn.Dropout(0.5)] if dropout and level >= 4 else []
        layers = [leaky, down(before, inner), norm_layer(norm, inner), nested, relu, up(2 * inner, before)]
        nested = Skip(*layers, norm_layer(norm, before), *drop)
    last = up(2 * width, channels[1], bias=True)
    whole = Model()
    whole.model = Model(down(channels[0], width), nested, relu, last, nn.Tanh())
    return whole


def resnet(blocks: int, *, norm="instance", width=4, channels=(3, 3), dropout=False) -> nn.Module:
    bias, relu = "instance" in norm, nn.ReLU()
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels[0], width, 7, bias=bias), norm_layer(norm, width), relu]
    for size in (width, 2 * width):
        layers += [nn.Conv2d(size, 2 * size, 3, 2, 1, bias=bias), norm_layer(norm, 2 * size), relu]
    size = 4 * width
    for _ in range(blocks):
        conv = [[nn.ReflectionPad2d(1), nn.Conv2d(size, size, 3, bias=bias), norm_layer(norm, size)] for _ in range(2)]
        layers.append(Block(*conv[0], relu, *([nn.Dropout(0.5)] if dropout else []), *conv[1]))
    for size in (4 * width, 2 * width):
        up = nn.ConvTranspose2d(size, size // 2, 3, 2, 1, 1, bias=bias)
        layers += [up, norm_layer(norm, size // 2), relu]
    return Model(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels[1], 7), nn.Tanh())


def patchgan(num_layers: int, *, norm="batch", width=4, channels=6) -> nn.Module:
    bias, leaky = "instance" in norm, nn.LeakyReLU(0.2)
    layers, before = [nn.Conv2d(channels, width, 4, 2, 1), leaky], width
    for layer in range(1, num_layers + 1):
        after = width * min(2**layer, 8)
        conv = nn.Conv2d(before, after, 4, 2 if layer < num_layers else 1, 1, bias=bias)
        layers, before = [*layers, conv, norm_layer(norm, after), leaky], after
    return Model(*layers, nn.Conv2d(before, 1, 4, 1, 1))


def pixelgan(*, norm="batch", width=4, channels=6) -> nn.Module:
    bias, leaky = "instance" in norm, nn.LeakyReLU(0.2)
    middle = [nn.Conv2d(width, 2 * width, 1, bias=bias), norm_layer(norm, 2 * width), leaky]
    return Net(nn.Conv2d(channels, width, 1), leaky, *middle, nn.Conv2d(2 * width, 1, 1, bias=bias))
