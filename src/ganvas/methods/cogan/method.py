"""CoGAN: two generators with shared layers, so that one z yields a pair of pictures."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from ganvas.losses import fake_loss, generator_loss, real_loss
from ganvas.methods import CoGANConfig
from ganvas.methods.architectures import at_size, check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.cogan.networks import SMALLEST_PICTURE, CoupledDiscriminator, CoupledGenerator
from ganvas.methods.config import Direction
from ganvas.networks import in_evaluation


class CoGAN(Method):
    """Each generator fools the discriminator of its domain; what they share makes their pictures correspond.

    Liu and Tuzel 2016, "Coupled Generative Adversarial Networks", arXiv:1606.07536. As the paper's digits; larger
    pictures have more layers. A discriminator gives one score in the place of two with a softmax, which is the same
    function. A picture is translated by finding its z.
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
        del progress  # every step is alike
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
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1]: what the other generator makes of each one's z.

        A picture that its generator cannot make is translated as the nearest that it can. Pictures of another size
        than a crop's are resized there and back. Computes gradients even where they are disabled.
        """
        self.check_direction(direction)
        given, made = direction[0], direction[-1]
        return at_size(lambda at: self._counterparts(at, given, made), images, self.image_size)

    def _counterparts(self, images: Tensor, given: str, made: str) -> Tensor:
        with in_evaluation(self.generator), torch.inference_mode(False), torch.no_grad():
            z = torch.cat([self.search(image.clone(), given) for image in torch.split(images, 1)])
            return self.generator.picture(z, made)

    def search(self, image: Tensor, domain: str) -> Tensor:
        """Return z* = argmin || g(z) - x ||, (1, z_size), for a picture (1, C, H, W) in [-1, 1]."""
        starts = self.draw(self.config.search_restarts, like=image)
        found = [self._descend(start, image, domain) for start in torch.split(starts, 1)]
        with torch.no_grad():
            return min(found, key=lambda z: self.distance(z, image, domain).item())

    def _descend(self, start: Tensor, image: Tensor, domain: str) -> Tensor:
        """Minimize the distance by L-BFGS, as the paper."""
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
        """Any size."""
        return 1

    @property
    def context(self) -> int | None:
        """The whole picture has one z."""
        return None


METHOD = CoGAN
