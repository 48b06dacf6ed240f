"""CUT and FastCUT: one-way unpaired translation by patchwise contrastive learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.losses import fake_loss, generator_loss, patch_nce, real_loss
from ganvas.methods import CUTConfig
from ganvas.methods.architectures import check_crop, choose_blocks, patch_discriminator, translate
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.networks.blocks import MLP, ConvBlock
from ganvas.networks.generators import ResNet

SEEN_BLOCKS = (1, 5)
"""Residual blocks whose outputs are features, counted from 1."""


class ContrastiveResNet(ResNet):
    """ResNet whose encoder half returns features. Park et al. 2020, arXiv:2007.15651.

    The features are the picture itself, the outputs of the two downsampling convolutions before their norm, and the
    outputs of the first and the fifth residual block, or the last if there are fewer. With antialiasing their receptive
    fields have 1, 9, 15, 35 and 99 pixels a side.
    """

    @property
    def feature_channels(self) -> list[int]:
        """Channels of each feature map."""
        convolutions = [module for module in self.encode_blocks.modules() if isinstance(module, nn.Conv2d)]
        halved = [convolution.out_channels for convolution in convolutions]
        return [self.first.conv.in_channels, *halved, *[halved[-1]] * len(self._seen)]

    @property
    def _seen(self) -> list[int]:
        return sorted({min(block, len(self.residual_blocks)) for block in SEEN_BLOCKS})

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return features (N, C, h, w) of pictures (N, input_channels, H, W) in [-1, 1], by the encoder half alone."""
        return self._encode(images)[1]

    def with_features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the results of `forward` and of `encode`, computed in one pass."""
        hidden, features = self._encode(images)
        for block in [*self.residual_blocks[self._seen[-1] :], *self.decode_blocks]:
            hidden = block(hidden)
        return self.finish(images, self.last(hidden)), features

    def _encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the output of the last block with features, and all features."""
        hidden, features = self.first(images), [images]
        for halve in self.encode_blocks:
            assert isinstance(halve, ConvBlock)
            raw = halve.conv(hidden)
            features.append(
                raw.clone() if self.norm == "none" else raw
            )  # without a norm, ReLU would overwrite it in place
            hidden = halve.after_convolution(raw)
        for number, block in enumerate(self.residual_blocks[: self._seen[-1]], start=1):
            hidden = block(hidden)
            if number in self._seen:
                features.append(hidden)
        return hidden, features


class PatchHeads(nn.Module):
    """Projection heads: for each feature map, two linear layers with a ReLU between them.

    Args:
        channels: channels of each feature map.
        size: size of each layer.
    """

    def __init__(self, channels: Sequence[int], *, size: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(MLP(count, size, width=size, hidden_layers=1) for count in channels)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Project features (N, C, h, w) at positions from `draw_places`: (N, positions, size) each."""
        return [
            head(values.flatten(2)[..., where].transpose(1, 2))
            for head, values, where in zip(self.heads, features, places, strict=True)
        ]


def draw_places(features: Sequence[Tensor], count: int) -> list[Tensor]:
    """Sample `count` different positions out of h * w for each feature map (N, C, h, w), or all if there are fewer.

    The positions are the same for every picture of the batch and are drawn from torch's global generator.
    """
    sizes = (values.shape[2] * values.shape[3] for values in features)
    device = features[0].device
    return [torch.rand(size, device=device).topk(min(count, size)).indices for size in sizes]


def initialize_xavier(network: nn.Module, *, gain: float = 0.02) -> None:
    """Initialize weights from N(0, gain^2 * 2 / (fan-in + fan-out)) and biases to 0, as the released code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class Translated:
    """Translated pictures, and the features with which their patches are compared."""

    picture: Tensor
    """(N, C, H, W) in [-1, 1], in training with gradients."""
    keys: list[Tensor]
    """Features of the input picture."""
    mirrored: Tensor | None
    """Mask (N, 1, 1, 1) of pictures mirrored before the generator; None without flip equivariance."""


class CUT(Method):
    """Contrastive unpaired translation: each output patch resembles the input patch at its position.

    Park et al. 2020, "Contrastive Learning for Unpaired Image-to-Image Translation", arXiv:2007.15651. Details that the
    paper does not specify follow the released code: filters, initial weights, and the mean instead of the sum over
    layers and patches. The features are the picture itself, the outputs of the two downsampling convolutions before
    their norm, and those of the first and fifth residual block (layers 0, 4, 8, 12 and 16 of the released code, whose
    layer 0 includes a mirrored border).
    """

    config_type = CUTConfig
    capturable = True
    paired = False
    generators = ("generator",)

    def __init__(
        self, config: CUTConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if input_channels != output_channels:
            raise ConfigError(
                f"CUT compares patches of both sides in one encoder ({input_channels} and {output_channels} channels): "
                "use equal numbers of channels, or train CycleGAN"
            )
        self.config = config
        self.players = {"generator": ("generator", "heads"), "discriminator": ("discriminator",)}
        self.generator = make_generator(config, input_channels, image_size)
        self.heads = PatchHeads(self.generator.feature_channels, size=config.projection)
        self.discriminator = patch_discriminator(
            output_channels,
            receptive_field=config.receptive_field,
            width=config.discriminator_width,
            norm=config.norm,
            image_size=image_size,
            antialias=config.antialias,
        )
        if config.initialization == "xavier":
            initialize_xavier(self)

    @classmethod
    def needs_equal_channels(cls, config: CUTConfig) -> bool:
        """Return True, because one encoder sees both sides."""
        del config
        return True

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of D, then one of G and the heads against the updated D, as the released code."""
        del progress  # every step is identical
        fake_b = self._translated(batch.a)
        yield Turn("discriminator", self._discriminator_losses(real_b=batch.b, fake_b=fake_b.picture.detach()))
        config = self.config
        losses = {"adversarial": generator_loss(self.discriminator(fake_b.picture), config.objective)}
        if config.contrast_weight > 0:
            losses["contrast"] = config.contrast_weight * self._contrast(fake_b)
        if config.identity_weight > 0:
            losses["identity"] = config.identity_weight * self._contrast(self._translated(batch.b))
        yield Turn("generator", losses)  # Eq. 5

    def _discriminator_losses(self, *, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Return Eq. 1 with least squares in place of the logarithm, halved."""
        objective = self.config.objective
        return {
            "fake": 0.5 * fake_loss(self.discriminator(fake_b), objective),
            "real": 0.5 * real_loss(self.discriminator(real_b), objective),
        }

    def _translated(self, real: Tensor) -> Translated:
        """Return G(real) and G_enc(real), in one pass unless pictures are mirrored."""
        if not self.config.flip_equivariance:
            return Translated(*self.generator.with_features(real), mirrored=None)
        mirrored = torch.rand(len(real), 1, 1, 1, device=real.device) < 0.5
        output = self.generator(mirror(real, mirrored))
        with torch.no_grad():  # after a pass with gradients: autocast caches the weights of the first cast
            keys = self.generator.encode(real)
        return Translated(output, keys, mirrored)

    def _contrast(self, translated: Translated) -> Tensor:
        """Return Eq. 4: each output patch is classified as its input patch, among others of the same picture."""
        features: Sequence[Tensor] = self.generator.encode(translated.picture)
        if translated.mirrored is not None:
            features = [mirror(values, translated.mirrored) for values in features]
        places = draw_places(translated.keys, self.config.patches)
        queries = self.heads(features, places)
        with torch.no_grad():  # after the queries: autocast caches the weights of the first cast
            keys = self.heads(translated.keys, places)
        pairs = zip(queries, keys, strict=True)
        losses = [patch_nce(query, key, temperature=self.config.temperature) for query, key in pairs]
        return torch.stack(losses).mean()

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the same shape and range.

        Raises:
            ImageError: height or width is not a multiple of `size_multiple`.
            ConfigError: direction b_to_a.
        """
        self.check_direction(direction)
        return translate(self.generator, images)

    @property
    def size_multiple(self) -> int:
        """Product of the generator's strides."""
        return ContrastiveResNet.size_multiple

    @property
    def smallest_side(self) -> int:
        """Smallest side of a generator's input."""
        return self.generator.smallest_side

    @property
    def context(self) -> int | None:
        """None if a norm makes tiles differ from the whole picture."""
        return self.generator.context


METHOD = CUT


def mirror(values: Tensor, chosen: Tensor) -> Tensor:
    """Flip values (N, C, H, W) horizontally in the pictures that `chosen` (N, 1, 1, 1) selects."""
    return torch.where(chosen, values.flip(3), values)


def make_generator(config: CUTConfig, channels: int, image_size: tuple[int, int]) -> ContrastiveResNet:
    """Build CycleGAN's generator, with antialiasing filters in place of strides if `antialias` is set."""
    multiple = ContrastiveResNet.size_multiple
    check_crop(image_size, multiple=multiple, smallest=2 * multiple, network="the ResNet")
    return ContrastiveResNet(
        channels,
        channels,
        width=config.width,
        num_blocks=choose_blocks(config.residual_blocks, image_size),
        norm=config.norm,
        upsampling="bilinear" if config.antialias else "transposed",
        antialias=config.antialias,
    )
