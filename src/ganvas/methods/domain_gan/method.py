"""Domain GAN: a class-conditional GAN over shared noise, and an encoder that recovers the noise of a picture."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.errors import ConfigError
from ganvas.losses import at_least_float32, fake_loss, generator_loss, real_loss
from ganvas.methods import DomainGANConfig
from ganvas.methods.architectures import at_size, check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.networks import in_evaluation
from ganvas.networks.blocks import at_least_float, initialize
from ganvas.networks.latent import FullyConnected, LatentDecoder, halving_block

HALVINGS = 4
"""Downsampling steps of the discriminator and the encoder, and upsampling steps of the generator."""
LINEAR_DEVIATION = 0.02


class ClassGenerator(nn.Module):
    """Generator G(z, c): a fully connected layer on noise and class, then upsampling layers 512-256-128.

    Args:
        z_size: size of the noise.
        num_classes: number of domains.
        embedding_size: size of the class embedding.
        output_channels: output channels of the pictures.
        width: half of the channels before the last layer.
        image_size: height and width of the pictures, multiples of 16.
    """

    def __init__(
        self,
        z_size: int,
        *,
        num_classes: int,
        embedding_size: int,
        output_channels: int,
        width: int,
        image_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, embedding_size)
        self.decoder = LatentDecoder(
            z_size + embedding_size,
            output_channels,
            channels=(16 * width, 8 * width, 4 * width, 2 * width),
            image_size=image_size,
            doubles_last=True,
        )
        initialize_linear(self)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        """(N, z_size) and (N,) whole numbers -> (N, output_channels, H, W) in [-1, 1]."""
        raw: Tensor = self.decoder(torch.cat([z, self.embedding(classes)], dim=1))
        return torch.tanh(at_least_float(raw))


class PictureReader(nn.Module):
    """Encoder from pictures to vectors: strided convolutions 64-128-256-512, then one fully connected layer per head.

    Args:
        input_channels: input channels of the pictures.
        heads: size of each vector.
        width: channels of the first layer.
        image_size: height and width of the pictures, multiples of 16.
    """

    def __init__(self, input_channels: int, heads: tuple[int, ...], *, width: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, columns = (side // 2**HALVINGS for side in image_size)
        self.features = nn.Sequential(
            halving_block(input_channels, width, norm="none", activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(width, 2 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(2 * width, 4 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
            halving_block(4 * width, 8 * width, activation=nn.LeakyReLU(0.2, inplace=True)),
        )
        self.heads = nn.ModuleList(FullyConnected(8 * width * height * columns, size) for size in heads)
        initialize_linear(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, input_channels, H, W) in [-1, 1] -> for each head (N, size), any real numbers."""
        features = self.features(images)
        return tuple(head(features).flatten(1) for head in self.heads)


def initialize_linear(network: nn.Module) -> None:
    """Initialize all weights from N(0, 0.02), fully connected layers too; batch-norm scales from N(1, 0.02)."""
    initialize(network)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, LINEAR_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


Losses = dict[str, Tensor]
SIDES = ("a", "b")
"""Class 0 and class 1."""


class DomainGAN(Method):
    """One class-conditional generator for both sides, and an encoder that recovers a picture's noise.

    Dong et al. 2017, "Unsupervised Image-to-Image Translation with Generative Adversarial Networks", arXiv:1701.02676:
    first a GAN conditioned on the class, whose discriminator also classifies the side; then, with the generator fixed,
    an encoder on generated pictures. A picture is translated by generating the other class from its noise. Layers as
    in the released code.
    """

    config_type = DomainGANConfig
    resizes = True
    directions = ("a_to_b", "b_to_a")
    paired = False
    samples = ("a", "b")
    generators = ("generator", "encoder")

    def __init__(
        self, config: DomainGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if input_channels != output_channels:
            raise ConfigError(
                f"one generator generates both sides ({input_channels} and {output_channels} channels): "
                "use equal numbers of channels"
            )
        check_crop(image_size, multiple=2**HALVINGS, network="DomainGAN")
        self.config, self.image_size = config, image_size
        self.players = {"generator": ("generator",), "discriminator": ("discriminator",), "encoder": ("encoder",)}
        self.generator = ClassGenerator(
            config.z_size,
            num_classes=len(SIDES),
            embedding_size=config.embedding_size,
            output_channels=input_channels,
            width=config.width,
            image_size=image_size,
        )
        self.discriminator = PictureReader(input_channels, (1, len(SIDES)), width=config.width, image_size=image_size)
        self.encoder = PictureReader(input_channels, (config.z_size,), width=config.width, image_size=image_size)

    def left_untrained(self, images: int) -> str | None:
        """Return a warning if the run ends before the encoder is trained."""
        if images > self.config.encoder_after:
            return None
        return (
            f"this run ends after {images:,} images, before the encoder learns (encoder_after "
            f"{self.config.encoder_after:,}), so it can sample but not translate: use more --epochs, or a smaller "
            "--encoder-after in a new run"
        )

    @classmethod
    def needs_equal_channels(cls, config: DomainGANConfig) -> bool:
        """Return True, because one generator generates both sides."""
        del config
        return True

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield the GAN's turns until `encoder_after` images, then the encoder's."""
        classes = torch.arange(len(SIDES), device=batch.a.device).repeat_interleave(len(batch.a))
        if progress.images_seen < self.config.encoder_after:
            yield from self._gan_turns(torch.cat([batch.a, batch.b]), classes)
        else:
            yield Turn("encoder", {"noise": self._encoder_loss(classes)})

    def _gan_turns(self, real: Tensor, classes: Tensor) -> Iterator[Turn]:
        """Yield the turns of step 1, on real pictures of both sides and as many generated ones of the same classes."""
        z = self.draw_noise(len(classes))
        with torch.no_grad():
            fake = self.generator(z, classes)
        yield Turn("discriminator", self._discriminator_losses(real, fake, classes))
        for _ in range(self.config.generator_steps):
            yield Turn("generator", self._adversarial_losses(self.generator(z, classes), classes))

    def _discriminator_losses(self, real: Tensor, fake: Tensor, classes: Tensor) -> Losses:
        """Return the losses of the discriminator: real or generated, and the class of real pictures."""
        real_scores, real_sides = self.discriminator(real)
        fake_scores, _ = self.discriminator(fake)
        losses = {"real": real_loss(real_scores, "vanilla"), "fake": fake_loss(fake_scores, "vanilla")}
        return losses | self._class_loss(real_sides, classes)

    def _adversarial_losses(self, fake: Tensor, classes: Tensor) -> Losses:
        """Return the losses of the generator: classified as real, and as the requested class."""
        scores, sides = self.discriminator(fake)
        return {"adversarial": generator_loss(scores, "vanilla")} | self._class_loss(sides, classes)

    def _class_loss(self, sides: Tensor, classes: Tensor) -> Losses:
        return {"side": self.config.class_weight * functional.cross_entropy(at_least_float32(sides), classes)}

    def _encoder_loss(self, classes: Tensor) -> Tensor:
        """Return step 2: the mean of || z - E(G(z, c)) ||^2, with the generator in evaluation mode."""
        z = self.draw_noise(len(classes))
        with torch.no_grad(), in_evaluation(self.generator):
            drawn = self.generator(z, classes)
        (found,) = self.encoder(drawn)
        return functional.mse_loss(at_least_float32(found), z)

    def draw_noise(self, count: int) -> Tensor:
        """(count, z_size) from N(0, I)."""
        return torch.randn(count, self.config.z_size, device=self.generator.embedding.weight.device)

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """Translate, step 3: G(E(x), the other side), (N, C, H, W) in [-1, 1] of any size -> the same shape and range.

        Pictures of another size than a training crop are resized to it and back. Before the encoder is trained, results
        do not depend on the input meaningfully.

        Raises:
            ConfigError: no such direction.
        """
        self.check_direction(direction)
        side = SIDES.index(direction[-1])
        return at_size(lambda crops: self._draw(self.encoder(crops)[0], side), images, self.image_size)

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """`count` pictures of a and of b, each two from the same noise: two of (count, C, H, W) in [-1, 1]."""
        z = self.draw_noise(count)
        return tuple(self._draw(z, side) for side in range(len(SIDES)))

    def _draw(self, z: Tensor, side: int) -> Tensor:
        drawn: Tensor = self.generator(z, torch.full((z.shape[0],), side, device=z.device))
        return drawn

    @property
    def size_multiple(self) -> int:
        """One, because any size is accepted."""
        return 1

    @property
    def context(self) -> int | None:
        """None, because the whole picture determines the noise."""
        return None


METHOD = DomainGAN
