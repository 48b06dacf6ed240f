"""CoGAN: two generators with shared layers, so that one z yields a pair of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from ganvas.losses import fake_loss, generator_loss, real_loss
from ganvas.methods import CoGANConfig
from ganvas.methods.architectures import at_size, check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.networks import in_evaluation
from ganvas.networks.blocks import PReLU, at_least_float, initialize_he

Size = tuple[int, int]
SMALLEST_PICTURE = 12
"""Smallest side of a picture in pixels."""
LARGEST_START = 4
"""Largest smaller side in pixels of the output of a generator's first layer."""
LARGEST_END = 6
"""Largest smaller side in pixels of the input of a discriminator's last hidden layer."""


class CoupledGenerator(nn.Module):
    """Generator of pairs of pictures from one z, whose domains share all layers but the last.

    For 28 and 32 pixels 1024-512-256-128 and a transposed 6x6 convolution (Liu and Tuzel 2016, arXiv:1606.07536, the
    digits); larger pictures have more layers, to 32 channels at 128 pixels as for the faces.

    Args:
        channels: channels of the pictures of a and of b.
        size: height and width of the pictures, at least 12.
        z_size: size of z.
        width: channels of the first layer; each further one has half as many.
    """

    def __init__(self, channels: tuple[int, int], *, size: Size, z_size: int = 100, width: int = 1024) -> None:
        super().__init__()
        sizes = layer_sizes(size)
        layers = _finished(nn.ConvTranspose2d(z_size, width, sizes[0]))
        for before, after in pairwise(sizes):
            rows, columns = (int(new == 2 * old) for old, new in zip(before, after, strict=True))
            half = max(width // 2, 1)
            layers += _finished(nn.ConvTranspose2d(width, half, 3, 2, 1, output_padding=(rows, columns)))
            width = half
        self.shared = nn.Sequential(*layers)
        self.last = nn.ModuleDict(
            {
                domain: nn.ConvTranspose2d(width, outputs, 6, 1, 1)
                for domain, outputs in zip("ab", channels, strict=True)
            }
        )
        initialize_he(self)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, z_size) -> corresponding pictures of a and of b, (N, C, H, W) in [-1, 1]."""
        features = self.shared(z[:, :, None, None])
        return self._finish(features, "a"), self._finish(features, "b")

    def picture(self, z: Tensor, domain: str) -> Tensor:
        """(N, z_size) -> pictures of one domain, (N, C, H, W) in [-1, 1]."""
        return self._finish(self.shared(z[:, :, None, None]), domain)

    def _finish(self, features: Tensor, domain: str) -> Tensor:
        raw: Tensor = self.last[domain](features)
        return 2 * torch.sigmoid(at_least_float(raw)) - 1


class CoupledDiscriminator(nn.Module):
    """Discriminator of whole pictures, whose domains share all layers but the first convolution.

    For 28 pixels 20-50-500: 5x5 convolutions, each followed by 2x2 max pooling, and a fully connected layer (Liu and
    Tuzel 2016, the digits); larger pictures have more convolutions. Its first convolution sees [0, 1], as in the
    paper's digits: the background, most of a digit, is then 0.

    Args:
        channels: channels of the pictures of a and of b.
        size: height and width of the pictures, at least 12.
        width: channels of the first convolution; the second has 2.5 times as many, each further one twice as many as
            the one before, and the last hidden layer 25 times as many as the first.
    """

    def __init__(self, channels: tuple[int, int], *, size: Size, width: int = 20) -> None:
        super().__init__()
        self.first = nn.ModuleDict(
            {domain: nn.Conv2d(given, width, 5) for domain, given in zip("ab", channels, strict=True)}
        )
        layers: list[nn.Module] = [nn.MaxPool2d(2)]
        sizes, before, after = sizes_seen(size), width, 5 * width // 2
        for _ in sizes[1:]:
            layers += [nn.Conv2d(before, after, 5), nn.MaxPool2d(2)]
            before, after = after, 2 * after
        layers += [nn.Conv2d(before, 25 * width, sizes[-1]), PReLU()]
        self.shared = nn.Sequential(*layers)
        self.num_features = 25 * width
        self.last = nn.Conv2d(self.num_features, 1, 1)
        initialize_he(self)

    def features(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the last hidden layer, (N, num_features)."""
        hidden: Tensor = self.shared(self.first[domain]((images + 1) / 2))
        return hidden.flatten(1)

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, 1, 1, 1), any real number, higher is more real."""
        scores: Tensor = self.last(self.features(images, domain)[:, :, None, None])
        return scores


def layer_sizes(size: Size) -> list[Size]:
    """Return the heights and widths that the layers of a generator produce, from the first to the one before the last.

    The last layer adds 3 pixels; each earlier layer doubles the size, or doubles it minus one.
    """
    sizes = [(size[0] - 3, size[1] - 3)]
    while min(sizes[0]) > LARGEST_START:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


def sizes_seen(size: Size) -> list[Size]:
    """Return the heights and widths after each convolution and its max pooling in a discriminator."""
    seen = [_after_pooling(size)]
    while min(seen[-1]) > LARGEST_END:
        seen.append(_after_pooling(seen[-1]))
    return seen


def _after_pooling(size: Size) -> Size:
    return (size[0] - 4) // 2, (size[1] - 4) // 2


def _finished(layer: nn.ConvTranspose2d) -> list[nn.Module]:
    """Return the layer followed by a batch norm without scale and offset, and a PReLU."""
    return [layer, nn.BatchNorm2d(layer.out_channels, affine=False), PReLU()]


class CoGAN(Method):
    """Coupled GANs, whose shared layers make the pictures of both generators correspond.

    Liu and Tuzel 2016, "Coupled Generative Adversarial Networks", arXiv:1606.07536. As the paper's digits; larger
    pictures have more layers. A discriminator returns one score instead of two with a softmax, which is an equivalent
    function. Translation searches for the z of a picture.
    """

    config_type = CoGANConfig
    resizes = True
    capturable = True
    directions = ("a_to_b", "b_to_a")
    paired = False
    samples = ("a", "b")
    translates_by_search = True
    generators = ("generator",)

    def __init__(
        self, config: CoGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_crop(image_size, smallest=SMALLEST_PICTURE, network="CoGAN")
        self.config, self.image_size = config, image_size
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",)}
        channels = (input_channels, output_channels)
        self.generator = CoupledGenerator(channels, size=image_size, z_size=config.z_size, width=config.width)
        self.discriminator = CoupledDiscriminator(channels, size=image_size, width=config.discriminator_width)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of the discriminators, then one of the generators against them (Algorithm 1)."""
        del progress  # every step is identical
        fake_a, fake_b = self.generator(self.draw(len(batch.a), like=batch.a))
        yield Turn("discriminator", self._discriminator_losses(batch, fake_a=fake_a.detach(), fake_b=fake_b.detach()))
        losses = {
            "adversarial_a": generator_loss(self.discriminator(fake_a, "a"), "vanilla"),
            "adversarial_b": generator_loss(self.discriminator(fake_b, "b"), "vanilla"),
        }
        yield Turn("generator", losses)

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropies of both domains, Eq. 2."""
        return {
            "real_a": real_loss(self.discriminator(batch.a, "a"), "vanilla"),
            "fake_a": fake_loss(self.discriminator(fake_a, "a"), "vanilla"),
            "real_b": real_loss(self.discriminator(batch.b, "b"), "vanilla"),
            "fake_b": fake_loss(self.discriminator(fake_b, "b"), "vanilla"),
        }

    def draw(self, count: int, *, like: Tensor) -> Tensor:
        """Sample z of `count` pairs, (count, z_size), from torch's global generator, on the device of `like`."""
        shape = (count, self.config.z_size)
        if self.config.noise == "normal":
            return torch.randn(shape, device=like.device)
        return 2 * torch.rand(shape, device=like.device) - 1

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """`count` pairs of pictures of a and b, each from one z: two of (count, C, H, W) in [-1, 1]."""
        pictures: tuple[Tensor, Tensor] = self.generator(self.draw(count, like=next(self.generator.parameters())))
        return pictures

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1]: the other generator's picture of each one's z.

        A picture outside the generator's range is translated like the nearest one inside it. Pictures of another size
        than a training crop are resized to it and back. Computes gradients even where they are disabled.
        """
        self.check_direction(direction)
        source, target = direction[0], direction[-1]
        return at_size(lambda at: self._counterparts(at, source, target), images, self.image_size)

    def _counterparts(self, images: Tensor, source: str, target: str) -> Tensor:
        with in_evaluation(self.generator), torch.inference_mode(False), torch.no_grad():
            z = torch.cat([self.search(image.clone(), source) for image in torch.split(images, 1)])
            return self.generator.picture(z, target)

    def search(self, image: Tensor, domain: str) -> Tensor:
        """Return z* = argmin || g(z) - x ||, (1, z_size), for a picture (1, C, H, W) in [-1, 1]."""
        starts = self.draw(self.config.search_restarts, like=image)
        found = [self._descend(start, image, domain) for start in torch.split(starts, 1)]
        with torch.no_grad():
            return min(found, key=lambda z: self.distance(z, image, domain).item())

    def _descend(self, start: Tensor, image: Tensor, domain: str) -> Tensor:
        """Minimize the distance by L-BFGS, as in the paper."""
        z = start.clone().requires_grad_()
        steps = self.config.search_steps
        optimizer: Optimizer = LBFGS([z], lr=self.config.search_rate, max_iter=steps, line_search_fn="strong_wolfe")

        def distance() -> float:
            with torch.enable_grad():
                apart = self.distance(z, image, domain)
                (z.grad,) = torch.autograd.grad(apart, z)
            return apart.item()

        optimizer.step(distance)
        return z.detach()

    def distance(self, z: Tensor, image: Tensor, domain: str) -> Tensor:
        """|| g(z) - x ||^2 of a picture (1, C, H, W) and one z (1, z_size)."""
        return (self.generator.picture(z, domain) - image).square().sum()

    @property
    def size_multiple(self) -> int:
        """One, because any size is accepted."""
        return 1

    @property
    def context(self) -> int | None:
        """None, because the whole picture has one z."""
        return None


METHOD = CoGAN
