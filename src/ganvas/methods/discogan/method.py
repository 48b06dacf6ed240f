"""DiscoGAN: two translators of small pictures with reconstruction and feature-matching losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganvas.losses import fake_loss, feature_matching, generator_loss, mse_loss, real_loss
from ganvas.methods import DiscoGANConfig
from ganvas.methods.architectures import TwoWayMethod, check_batch, check_crop
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.networks import in_evaluation
from ganvas.networks.blocks import ConvBlock
from ganvas.networks.convolutions import DoublingConvolution, Interval, before_convolution, before_transposed, context
from ganvas.networks.generators import Generator

NUM_HALVINGS = 4
SMALLEST = 64
"""Smallest side in pixels, which leaves 4x4 features to the layers without padding."""


def encoder(input_channels: int, width: int) -> nn.ModuleList:
    """Build 4x4 convolutions of stride 2 to 1, 2, 4, 8 times `width` channels; batch norm after all but the first."""
    channels = [input_channels, *(width * 2**level for level in range(NUM_HALVINGS))]
    return nn.ModuleList(
        ConvBlock(
            before,
            after,
            kernel=4,
            stride=2,
            padding=1,
            norm="batch" if level > 0 else "none",
            bias=False,
            activation=nn.LeakyReLU(0.2, inplace=True),
        )
        for level, (before, after) in enumerate(pairwise(channels))
    )


class DiscoGenerator(Generator):
    """Four downsampling and four upsampling convolutions, batch norm except in the first and last layer (Fig. 3).

    Kim et al. 2017. The paper's networks work in [0, 1] with a sigmoid; this one is equivalent, since 2 sigmoid(x) - 1
    = tanh(x / 2). Initial weights are PyTorch's defaults, as in the released code.

    Args:
        input_channels: channels of the input images, in [-1, 1].
        output_channels: channels of the output images, in [-1, 1].
        width: channels of the first layer.
        bottleneck: channels of a 4x4 convolution without padding in the middle, and of the transposed one after it,
            so that every output of a 64-pixel picture depends on all of it; 0: none.
    """

    size_multiple: int = 2**NUM_HALVINGS

    def __init__(self, input_channels: int, output_channels: int, *, width: int = 64, bottleneck: int = 0) -> None:
        super().__init__(norm="batch", residual=False)
        self.bottleneck = bottleneck
        self.encode_blocks = encoder(input_channels, width)
        deepest = width * 2 ** (NUM_HALVINGS - 1)
        self.middle = nn.Sequential()
        if bottleneck:
            self.middle = nn.Sequential(
                nn.Conv2d(deepest, bottleneck, 4, bias=False),
                nn.BatchNorm2d(bottleneck),
                nn.LeakyReLU(0.2, inplace=True),
                nn.ConvTranspose2d(bottleneck, deepest, 4, bias=False),
                nn.BatchNorm2d(deepest),
                nn.ReLU(inplace=True),
            )
        channels = [width * 2**level for level in reversed(range(NUM_HALVINGS))]
        self.decode_blocks = nn.ModuleList(
            nn.Sequential(DoublingConvolution(before, after, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
            for before, after in pairwise(channels)
        )
        self.last = DoublingConvolution(width, output_channels, bias=False)

    @property
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The last convolution."""
        return self.last

    @property
    def context(self) -> int:
        """Distance in pixels up to which inputs influence an output pixel, with batch norm in evaluation mode."""
        return context(self.needed_inputs, period=self.size_multiple)

    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the inputs on which `needed` outputs depend through the deepest features."""
        for _ in range(NUM_HALVINGS):
            needed = before_transposed(needed, kernel=4, stride=2, padding=1)
        if self.bottleneck:
            needed = before_transposed(needed, kernel=4, stride=1, padding=0)
            needed = before_convolution(needed, kernel=4, stride=1, padding=0)
        for _ in range(NUM_HALVINGS):
            needed = before_convolution(needed, kernel=4, stride=2, padding=1)
        return needed

    def forward(self, images: Tensor) -> Tensor:
        """(N, input_channels, H, W) in [-1, 1] -> (N, output_channels, H, W) in [-1, 1]; H, W multiples of 16.

        With a bottleneck H and W are at least 64.
        """
        features = unit(images)
        for block in [*self.encode_blocks, self.middle, *self.decode_blocks]:
            features = block(features)
        return torch.tanh(self.last(features) / 2)


class DiscoDiscriminator(nn.Module):
    """Discriminator: the generator's encoder, then a 4x4 convolution without padding; one score for 64 pixels.

    Args:
        input_channels: input channels of the images scored.
        width: channels of the first layer.
    """

    def __init__(self, input_channels: int, *, width: int = 64) -> None:
        super().__init__()
        self.blocks = encoder(input_channels, width)
        self.last = nn.Conv2d(width * 2 ** (NUM_HALVINGS - 1), 1, 4, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, input_channels, H, W) in [-1, 1], at least 64 pixels a side.

        Returns:
            (N, 1, h, w), any real number, higher is more real; and the outputs of the second, third and fourth
            activation, (N, C, h, w) each.
        """
        features = [unit(images)]
        for block in self.blocks:
            features.append(block(features[-1]))
        return self.last(features[-1]), features[2:]


def unit(images: Tensor) -> Tensor:
    """Convert [-1, 1] to [0, 1]."""
    return (images + 1) / 2


Losses = dict[str, Tensor]


class DiscoGAN(TwoWayMethod):
    """Two generators that invert each other, with adversarial and feature-matching losses.

    Kim et al. 2017, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
    arXiv:1703.05192, where `a_to_b` is G_AB and `discriminator_b` D_B. Feature matching, the weights and the
    curriculum follow the released code. Losses between pictures use the paper's range [0, 1]. At test time batch norm
    uses the statistics of training, so that no picture depends on the others of its batch.
    """

    config_type = DiscoGANConfig

    def __init__(
        self, config: DiscoGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_crop(image_size, multiple=DiscoGenerator.size_multiple, smallest=SMALLEST, network="DiscoGAN")
        self.config, self._single_place = config, config.bottleneck > 0 and image_size == (SMALLEST, SMALLEST)
        self.players = {"generators": ("a_to_b", "b_to_a"), "discriminators": ("discriminator_a", "discriminator_b")}
        a, b, width, bottleneck = input_channels, output_channels, config.width, config.bottleneck
        self.a_to_b = DiscoGenerator(a, b, width=width, bottleneck=bottleneck)
        self.b_to_a = DiscoGenerator(b, a, width=width, bottleneck=bottleneck)
        self.discriminator_a = DiscoDiscriminator(a, width=width)
        self.discriminator_b = DiscoDiscriminator(b, width=width)

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield a step of the discriminators, then of the generators; with an interval above 1 only one of them."""
        if self._single_place:
            check_batch(batch.a, network="a bottleneck of one position")
        interval = self.config.discriminator_interval
        scored = progress.step % interval == 0
        translated = interval == 1 or not scored
        with torch.set_grad_enabled(translated and torch.is_grad_enabled()):
            fake_b, fake_a = self.a_to_b(batch.a), self.b_to_a(batch.b)
        if scored:
            yield Turn(
                "discriminators", self._discriminator_losses(batch, fake_a=fake_a.detach(), fake_b=fake_b.detach())
            )
        if translated:
            yield Turn("generators", self._generator_losses(batch, progress, fake_a=fake_a, fake_b=fake_b))

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 9 and 10, halved as in the released code."""
        losses: Losses = {}
        for side, discriminator, real, fake in (
            ("a", self.discriminator_a, batch.a, fake_a),
            ("b", self.discriminator_b, batch.b, fake_b),
        ):
            losses[f"real_{side}"] = 0.5 * real_loss(discriminator(real)[0], "vanilla")
            losses[f"fake_{side}"] = 0.5 * fake_loss(discriminator(fake)[0], "vanilla")
        return losses

    def _generator_losses(self, batch: Batch, progress: Progress, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 8: the losses of both generators, (1 - r) adversarial and r reconstruction."""
        returned = self.reconstruction_share(progress)
        losses = {
            "reconstruction_a": returned * mse_loss(unit(self.b_to_a(fake_b)), unit(batch.a)),  # Eq. 4
            "reconstruction_b": returned * mse_loss(unit(self.a_to_b(fake_a)), unit(batch.b)),
        }
        losses |= self._adversarial_losses("a", self.discriminator_a, real=batch.a, fake=fake_a, share=1 - returned)
        return losses | self._adversarial_losses(
            "b", self.discriminator_b, real=batch.b, fake=fake_b, share=1 - returned
        )

    def _adversarial_losses(
        self, side: str, discriminator: nn.Module, *, real: Tensor, fake: Tensor, share: float
    ) -> Losses:
        """Return Eq. 3 (Eq. 5) and the feature-matching loss between a batch of fakes and one of real pictures."""
        matched = self.config.feature_matching
        scores, features = discriminator(fake)
        with torch.no_grad():  # after the fakes: autocast caches the weights of the first cast
            wanted = discriminator(real)[1]
        return {
            f"adversarial_{side}": share * (1 - matched) * generator_loss(scores, "vanilla"),
            f"features_{side}": share * matched * feature_matching(features, wanted),
        }

    def reconstruction_share(self, progress: Progress) -> float:
        """Return r: small during the curriculum, then larger."""
        early = progress.step < self.config.curriculum_steps
        return self.config.early_reconstruction if early else self.config.reconstruction

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1]; for b_to_a the channels are swapped.

        Raises:
            ImageError: height or width is not a multiple of `size_multiple`.
        """
        generator = self.generator_of(direction)
        generator.check_size(images)
        with in_evaluation(generator):
            output: Tensor = generator(images)
        return output

    @property
    def size_multiple(self) -> int:
        """16, the product of a generator's strides; 64, a generator's smallest picture, with a bottleneck."""
        return SMALLEST if self.config.bottleneck else DiscoGenerator.size_multiple


METHOD = DiscoGAN
