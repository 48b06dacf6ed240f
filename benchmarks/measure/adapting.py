"""Domain adaptation of a classifier: it learns from the labels of one domain while a method adapts it to the other.

Each method runs its own training step, which needs no labels. The classifier is one layer on top of the last hidden
layer of the discriminators, which both domains share, and is trained together with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.methods import CoGANConfig, UNITConfig
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.cogan.method import CoGAN
from ganvas.methods.unit.method import UNIT
from ganvas.training.step import set_rate
from measure.digit_discriminator import DigitDiscriminator, start_alike
from measure.digits import SIZE, Digits

NUM_CLASSES = 10
BATCH = 1000
"""Number of pictures classified in one batch."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the training of one method.

    Attributes:
        width: width of the generators.
        discriminator_width: width of the discriminators.
        steps: number of training steps.
        batch: pictures of each domain per step.
        rate: learning rate of Adam, with betas .5 and .999.
        constant_fraction: share of the steps at the full rate, which then decays linearly to 0.
        decay: weight decay.
        dropout: dropout rate of the classifier's input in training; UNIT's discriminator has rates of its own.
        class_weight: weight of the classifier's cross-entropy.
        match_weight: weight of the distance between the features of corresponding pictures of both domains.
    """

    width: int
    discriminator_width: int
    steps: int
    batch: int
    rate: float
    constant_fraction: float
    decay: float
    dropout: float
    class_weight: float
    match_weight: float


SOURCE_ONLY = Settings(
    width=0,
    discriminator_width=12,
    steps=1500,
    batch=32,
    rate=5e-4,
    constant_fraction=0.5,
    decay=5e-4,
    dropout=0.5,
    class_weight=1.0,
    match_weight=0.0,
)
COGAN = replace(
    SOURCE_ONLY, width=128, steps=5000, constant_fraction=1.0, dropout=0.0, class_weight=10.0, match_weight=0.01
)
UNIT_OF_DIGITS = replace(
    SOURCE_ONLY, width=8, discriminator_width=16, steps=3000, batch=16, class_weight=10.0, match_weight=20.0
)
SETTINGS = {
    "source": SOURCE_ONLY,
    "source_unit": replace(SOURCE_ONLY, discriminator_width=16),
    "cogan": COGAN,
    "unit": UNIT_OF_DIGITS,
}
"""Chosen by the accuracy on the target's test digits in both directions, with seed 100, which is not reported."""


class Adapter(nn.Module):
    """A method with a classifier on top of its discriminators; the source is domain a, the target domain b."""

    discriminators: str
    """Player whose turn also updates the classifier."""

    def __init__(self, method: CoGAN | UNIT, settings: Settings) -> None:
        super().__init__()
        self.method, self.settings = method, settings
        (self.discriminators,) = (player for player, names in method.players.items() if "discriminator" in names)
        self.head = nn.Linear(self._features(torch.zeros(1, 1, SIZE, SIZE), "a").shape[1], NUM_CLASSES)
        self.made: list[Any] = []
        for name in method.generators:
            getattr(method, name).register_forward_hook(lambda _network, _given, made: self.made.append(made))

    def classify(self, images: Tensor, domain: str) -> Tensor:
        """(N, 1, 28, 28) in [-1, 1] -> logits (N, 10)."""
        logits: Tensor = self.head(self._features(images, domain))
        return logits

    def training_step(self, batch: Batch, labels: Tensor, progress: Progress) -> Iterator[Turn]:
        """Yield the method's own turns, with the classifier's losses added to those of the discriminators.

        Args:
            batch: pictures a of the source and b of the target.
            labels: labels of a.
            progress: progress of the training.
        """
        self.made.clear()
        for turn in self.method.training_step(batch, progress):
            if turn.player == self.discriminators:
                turn = Turn(turn.player, turn.losses | self._with_labels(batch, labels))
            yield turn

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """Return the parameters of a player; those of the classifier belong to the discriminators."""
        own = [*self.head.parameters()] if player == self.discriminators else []
        return self.method.player_parameters(player) + own

    def corresponding(self) -> tuple[Tensor, Tensor]:
        """Return pictures of a and b with the same content, made by the generators in this step."""
        raise NotImplementedError

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance between the features of corresponding pictures, (N, F) each."""
        raise NotImplementedError

    def _features(self, images: Tensor, domain: str) -> Tensor:
        features: Tensor = self.method.discriminator.features(images, domain)
        return features

    def _training_features(self, images: Tensor) -> Tensor:
        """Return the features of source pictures after dropout."""
        discriminator = self.method.discriminator
        if isinstance(discriminator, DigitDiscriminator):
            return discriminator.features(images, "a", leaving_out=True)
        return functional.dropout(self._features(images, "a"), self.settings.dropout)

    def _with_labels(self, batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        wrong = functional.cross_entropy(self.head(self._training_features(batch.a)), labels)
        losses = {"class": self.settings.class_weight * wrong}
        if self.settings.match_weight > 0:
            a, b = self.corresponding()
            apart = self.distance(self._features(a.detach(), "a"), self._features(b.detach(), "b"))
            losses["match"] = self.settings.match_weight * apart
        return losses


class CoGANAdapter(Adapter):
    """Liu and Tuzel 2016, Sec. 5, with the squared distance between the features of a pair, as in the released code."""

    def corresponding(self) -> tuple[Tensor, Tensor]:
        """Return the generated pairs."""
        ((a, b),) = self.made
        return a, b

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the squared distance, averaged over the pictures."""
        return (a - b).square().sum(dim=1).mean()


class UNITAdapter(Adapter):
    """Liu et al. 2017, Sec. 4: discriminators with shared later layers, and an L1 loss on the features of pairs."""

    def corresponding(self) -> tuple[Tensor, Tensor]:
        """Return reconstructions and translations of the same codes: first the source's, then the target's."""
        _, _, (own_a, of_b, *_), (own_b, of_a, *_) = (made.chunk(2) for made in self.made)
        return torch.cat([own_a, of_b]), torch.cat([of_a, own_b])

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the mean absolute difference."""
        return (a - b).abs().mean()


class SourceOnly(Adapter):
    """Baseline without adaptation: trains on the source alone, and classifies the target as if it were the source."""

    def training_step(self, batch: Batch, labels: Tensor, progress: Progress) -> Iterator[Turn]:
        """Yield the turn of the classifier."""
        del progress
        yield Turn(self.discriminators, self._with_labels(batch, labels))

    def classify(self, images: Tensor, domain: str) -> Tensor:
        """(N, 1, 28, 28) in [-1, 1] -> logits (N, 10), through the source's first layer for both domains."""
        del domain
        return super().classify(images, "a")


def make_adapter(name: str, settings: Settings) -> Adapter:
    """Return an untrained adapter, whose weights come from torch's global generator."""
    make = make_unit if name in ("unit", "source_unit") else make_cogan
    kind = {"cogan": CoGANAdapter, "unit": UNITAdapter}.get(name, SourceOnly)
    return kind(make(settings), settings)


def make_cogan(settings: Settings) -> CoGAN:
    """Return a CoGAN for gray pictures of 28 pixels."""
    config = CoGANConfig(width=max(settings.width, 1), discriminator_width=settings.discriminator_width)
    return CoGAN(config, input_channels=1, output_channels=1, image_size=(SIZE, SIZE))


def make_unit(settings: Settings) -> UNIT:
    """Return a UNIT for gray pictures of 28 pixels, with the discriminator that its released code uses for adaptation.

    It has batch norm, since instance norm turns the flat background of digits into noise. The discriminators score
    translations only, as L_GAN in the proceedings. Unlike in the papers, both domains start from the same weights;
    otherwise the target's discriminator starts with features that the classifier has not been trained on.
    """
    config = UNITConfig(width=max(settings.width, 1), residual_blocks=2, norm="batch", judged="translations")
    method = UNIT(config, input_channels=1, output_channels=1, image_size=(SIZE, SIZE))
    method.discriminator = DigitDiscriminator(SIZE, width=settings.discriminator_width)  # type: ignore[assignment]
    start_alike(method)
    return method


def scaled(settings: Settings, *, width: int | None, steps: int | None) -> Settings:
    """Return the settings with another width or number of steps; a source-only classifier keeps its width of 0."""
    if steps is not None:
        settings = replace(settings, steps=steps)
    return replace(settings, width=width) if width is not None and settings.width else settings


def train(adapter: Adapter, source: Digits, target: Tensor) -> Iterator[int]:
    """Train on labeled source digits and on target pictures (N, 1, 28, 28) in [-1, 1]; yield the number of steps done.

    Batches are drawn from torch's global generator.
    """
    settings = adapter.settings
    optimizers: dict[str, torch.optim.Optimizer] = {
        player: torch.optim.Adam(
            parameters, lr=settings.rate, betas=(0.5, 0.999), weight_decay=settings.decay, fused=True
        )
        for player in adapter.method.players
        if (parameters := adapter.player_parameters(player))
    }
    for step in range(settings.steps):
        set_rate(optimizers, settings.rate * share_of_rate(step / settings.steps, settings.constant_fraction))
        seen = source.at(torch.randint(len(source), (settings.batch,)))
        batch = Batch(seen.images, target[torch.randint(len(target), (settings.batch,))])
        for turn in adapter.training_step(batch, seen.labels, Progress(step * settings.batch, step)):
            optimizers[turn.player].zero_grad()
            total = torch.stack(list(turn.losses.values())).sum()
            total.backward(inputs=adapter.player_parameters(turn.player))
            optimizers[turn.player].step()
        yield step + 1


def share_of_rate(done: float, constant_fraction: float) -> float:
    """Return the learning rate relative to the full rate, after this share of the steps."""
    return 1.0 if done < constant_fraction else (1 - done) / (1 - constant_fraction)


@torch.no_grad()
def accuracy(adapter: Adapter, digits: Digits, domain: str) -> float:
    """Return the share of correctly classified digits, without dropout."""
    training = adapter.training
    adapter.eval()
    parts = zip(digits.images.split(BATCH), digits.labels.split(BATCH), strict=True)
    right = sum(int((adapter.classify(images, domain).argmax(1) == labels).sum()) for images, labels in parts)
    adapter.train(training)
    return right / len(digits)
